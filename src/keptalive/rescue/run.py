"""Become a program, and leave a follower behind that keeps its connections protected from outside.

Rule: the program is not to notice. It gets this process with its number, parent, terminal,
descriptors and environment as they came, so exit status, signals and job control are as
without. The follower is no child of it, holds nothing of it open, and whatever becomes of
the follower, the program goes on. Nothing is loaded here that the program would wait for.

    this process ── fork ── between ── fork ── the follower      an orphan as soon as "between" ends
         └── becomes the program

Two things of the program's are different, and both can be looked at: a limit that limits
nothing (see `mark`), and, only where nothing can be done from outside, PYTHONPATH.
"""

from __future__ import annotations

import errno
import os
import resource
import time

from keptalive.linux import processes, refusals
from keptalive.rescue import injection, mark

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost 5 ms
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal  # signal itself makes enums of its numbers, which takes 2 ms

#: What a follower is to do: the first process, the mark, the policy as Policy.parse() reads it
#: (None is the default), and the file that is told what was done.
Orders = tuple[int, int, str | None, str | None]

# A keyboard, a shell or a service manager means the program with these. The follower ends when
# the program's last process does.
_NOT_FOR_THE_FOLLOWER = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGTSTP,
    signal.SIGPIPE,
)

# s until the follower loads what it needs: a program that ends sooner has the machine to itself,
# and no connection is in danger yet.
_HEAD_START = 0.1

_PR_SET_PTRACER = 0x59616D61  # linux/prctl.h: "Yama" in ASCII


def start_follower(
    environment: dict[bytes, bytes], policy: str | None = None, summary: str | None = None
) -> str | None:
    """Leave a follower behind for this process and all that it will start.

    policy: as `Policy.parse` reads it, None for the default. summary: the path of a file that
    is told what was done. Where sockets may not be reached from outside, the reason is
    returned, and *environment* is changed so that Python programs protect themselves from
    inside. Raises OSError if no process can be started any more.
    """
    orders = os.getpid(), mark.new(), policy, summary
    answer, theirs = os.pipe()
    try:
        between = os.fork()
    except OSError:
        os.close(answer)
        os.close(theirs)
        raise
    if between == 0:
        os.close(answer)
        _leave_orphan(theirs, orders)
    os.close(theirs)
    with os.fdopen(answer) as stream:
        follower = stream.readline()
        if follower:
            _admit(int(follower))
        refusal = stream.read()
    _, status = os.waitpid(between, 0)
    number = os.waitstatus_to_exitcode(status)
    if number > 0:  # below: somebody killed it, and the follower may be there or not
        raise OSError(number, os.strerror(number))
    mark.wear(orders[1])
    if not refusal:
        return None
    injection.prepare(environment, orders[1], policy)
    return refusal


def _leave_orphan(answer: int, orders: Orders) -> NoReturn:
    """Start a follower, and end once it has no more use for this process."""
    status = errno.ECHILD
    try:
        ready, theirs = os.pipe()
        if os.fork() == 0:
            _be_follower(answer, ready, theirs, orders)
        os.close(answer)
        os.close(theirs)
        os.read(ready, 1)  # until the follower closes its end
        status = 0
    except OSError as error:
        status = error.errno or status
    finally:
        os._exit(status)


def _be_follower(answer: int, ready: int, done: int, orders: Orders) -> NoReturn:
    """Follow; what goes wrong goes wrong here alone."""
    try:
        doubtful = _may_be_refused()
        _detach({answer, done} if doubtful else set())
        if not doubtful:
            time.sleep(_HEAD_START)
            if _over(orders):
                os._exit(0)
        from keptalive.rescue import follower  # what this imports, the program does not wait for

        refused = None
        if doubtful:
            os.write(answer, f"{os.getpid()}\n".encode())
            refused = follower.reach(os.getppid(), ready)
            os.write(answer, (refused or "").encode())
        following = follower.Follower(*orders, refused=refused)
        os.chdir("/")  # so that no file system stays busy
        if doubtful:
            os.close(done)
            os.close(answer)
        following.stay()
    finally:
        os._exit(0)


def _over(orders: Orders) -> bool:
    """Tell whether the program has ended already, left nobody behind, and no word of it is asked for."""
    first, its_mark, _, summary = orders
    if summary is not None or processes.exists(first):
        return False
    return all(mark.worn_by(pid) != its_mark for pid in processes.pids())


def _may_be_refused() -> bool:
    """Tell whether there are signs that sockets may not be reached from outside; only then it is tried.

    Trying takes 20 ms. The signs cost nothing: a kernel before 5.6, a seccomp filter, Yama.
    """
    kernel = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])
    return kernel < (5, 6) or processes.status(os.getpid()).get("Seccomp") != "0" or refusals.yama_scope() > 0


def _detach(kept: set[int]) -> None:
    """Leave the terminal, the job, and every descriptor but *kept* to the program."""
    os.setsid()
    for number in _NOT_FOR_THE_FOLLOWER:
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
        if descriptor > 2 and descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the one that listed them
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # it holds one for each process of the tree


def _admit(follower: int) -> None:
    """Let the follower at this process, and at the program it becomes, where Yama asks for that.

    A process can give this right away (PR_SET_PTRACER in prctl(2)); its children do not inherit it.
    """
    import ctypes  # 6 ms that only a doubtful case costs

    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, follower, 0, 0, 0)  # EINVAL without Yama: then nobody asks
