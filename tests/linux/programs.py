"""Programs to look into: each holds a connection, or has something odd about it.

`program(KIND, ARGUMENT)` runs this file as a script, waits until it has said its line, and
ends it in the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import encodings.idna  # noqa: F401  # which create_connection() may not find after become()
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_PR_SET_DUMPABLE = 4

#: Put before a program, it runs in a network namespace of its own.
IN_A_NAMESPACE = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$0" "$@"')

NOBODY = 2**22 + 1  # above what /proc/sys/kernel/pid_max can be


class Program(subprocess.Popen[str]):
    """A running program, and the line it has said."""

    said: str | None = None

    def tell(self, word: str) -> str:
        """Say a word to it and return its answer."""
        assert self.stdin is not None
        assert self.stdout is not None
        print(word, file=self.stdin, flush=True)
        return self.stdout.readline().strip()


@contextlib.contextmanager
def program(
    kind: str,
    argument: str = "",
    *,
    inherit: Sequence[socket.socket] = (),
    before: Sequence[str] = (),
    user: int | None = None,
) -> Iterator[Program]:
    """Run the program *kind*; *before* is a command that starts it, as `unshare --net`.

    *user*: as that one, whom it becomes once it has loaded what it needs.
    """
    inherited = [sock.fileno() for sock in inherit]
    with Program(
        [*before, sys.executable, __file__, kind, argument, *([] if user is None else [str(user)])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=inherited,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as running:
        try:
            assert running.stdout is not None
            running.said = running.stdout.readline()
            assert running.said, f"{kind} ended before it was ready"
            yield running
        finally:
            running.kill()


def _say(*words: object) -> None:
    print(*words, flush=True)


def _forever() -> None:
    while True:
        signal.pause()


def _wait(_: str) -> None:
    _say("ready")
    _forever()


def _hold(argument: str) -> None:
    """A listener and both ends of a connection; the client's has keepalive on with that idle, if any."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        if argument.isdecimal():
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(argument))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _say(listener.fileno(), client.fileno(), server.fileno(), os.getpid())
        _forever()
        client.close()
        server.close()


def _threads(_: str) -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    _hold("")


def _first_thread_ends(_: str) -> None:
    """Hold in a thread, and end the first one, as pthread_exit() in main() does."""
    held = threading.Event()

    def hold() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        keep.extend([listener, client, server])
        held.wait()
        while Path(f"/proc/self/task/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            continue
        _say(listener.fileno(), client.fileno(), server.fileno(), os.getpid())
        threading.Event().wait()

    keep: list[socket.socket] = []
    threading.Thread(target=hold).start()
    held.set()
    exit_thread = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
    ctypes.CDLL(None).syscall(exit_thread, 0)


def _named(name: str) -> None:
    Path("/proc/self/comm").write_bytes(name.encode("latin-1"))
    _hold("")


def _family(_: str) -> None:
    """A child and a grandchild, which end when this one does (PR_SET_PDEATHSIG)."""
    code = (
        "import ctypes, subprocess; end = lambda: ctypes.CDLL(None).prctl(1, 9); end();"
        "c = subprocess.Popen(['sleep', '600'], preexec_fn=end); print(c.pid, flush=True); c.wait()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    _say(child.pid, child.stdout.readline().strip())
    _forever()


def _obey(_: str) -> None:
    """Do as told on stdin: "connect" here, "start" a child that does, or "end"."""
    listener = socket.create_server(("127.0.0.1", 0))
    keep: list[object] = []
    _say("ready")
    for line in sys.stdin:
        if line == "connect\n":
            client = socket.create_connection(listener.getsockname())
            keep.append((client, listener.accept()))
            _say(client.fileno())
        elif line == "start\n":
            child = subprocess.Popen(
                [sys.executable, __file__, "hold", ""], stdout=subprocess.PIPE, text=True
            )
            assert child.stdout is not None
            child.stdout.readline()
            keep.append(child)
            _say(child.pid)
        else:
            break
    for one in keep:
        if isinstance(one, subprocess.Popen):
            one.kill()
            one.wait()


def _not_dumpable(argument: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _hold(argument)


_KINDS: dict[str, Callable[[str], None]] = {
    "wait": _wait,
    "hold": _hold,
    "threads": _threads,
    "first-thread-ends": _first_thread_ends,
    "named": _named,
    "family": _family,
    "obey": _obey,
    "not-dumpable": _not_dumpable,
}


def become(user: int) -> None:
    """Be an ordinary user's ordinary process: who gives up root is not dumpable at first."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        become(int(sys.argv[3]))
    _KINDS[sys.argv[1]](sys.argv[2])
