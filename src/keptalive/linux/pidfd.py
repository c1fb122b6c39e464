"""Another process's sockets in one's own hands: pidfd_open(2) and pidfd_getfd(2).

Rule: what comes back is the same socket under a second descriptor. So nothing here may
touch what lives in the open file itself: O_NONBLOCK above all, which Python would set
for a `socket.setdefaulttimeout()` of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
from collections.abc import Iterable, Iterator
from functools import cache
from types import TracebackType

from keptalive.linux import processes

# The same numbers on every architecture but alpha (asm-generic/unistd.h). Python has pidfd_open
# only if the headers it was built with had it.
_OPEN, _GETFD = 434, 438
_THREAD = os.O_EXCL  # PIDFD_THREAD, Linux 6.9 (include/uapi/linux/pidfd.h)

# The descriptor was closed, or means something else by now, or the process has ended.
_VANISHED = (errno.EBADF, errno.ENOTSOCK, errno.ESRCH)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)  # which Windows, where this is imported too, has not


class OtherProcess:
    """A process, held by a pidfd: its number cannot come to mean another one meanwhile.

    Works for one whose first thread has ended while others live, where the kernel can
    (Linux 6.9). Raises OSError: ESRCH if there is no such process, ENOSYS before Linux 5.3.
    """

    def __init__(self, pid: int) -> None:
        self.pid = processes.process_of(pid)  # a thread's number stands for its process
        self._pidfd = _call(_OPEN, self.pid, 0)
        self._alive = self._pidfd  # a pidfd of a thread that lives: of another than the first, if need be

    def sockets(self) -> list[processes.Socket]:
        """Return its sockets as (descriptor, inode). Raises OSError as processes.sockets() does."""
        return processes.sockets(self.pid)

    def fetch(self, descriptor: int) -> int:
        """Return a new descriptor, closed on exec, of the file behind *descriptor* over there.

        Raises OSError: EPERM if forbidden, EBADF if it was closed meanwhile, ESRCH if the
        process has ended, ENOSYS before Linux 5.6.
        """
        try:
            return _call(_GETFD, self._alive, descriptor, 0)
        except ProcessLookupError:
            self._find_living_thread()
        return _call(_GETFD, self._alive, descriptor, 0)

    def fetch_stream(self, descriptor: int) -> socket.socket | None:
        """Return a stream socket for *descriptor*, None if it is a socket of another type.

        Closing it closes nothing over there. Raises OSError as fetch() does, ENOTSOCK for
        what is no socket (any more).
        """
        got = self.fetch(descriptor)
        try:
            # A type that says SOCK_NONBLOCK keeps Python from setting the flag by its own default timeout.
            sock = socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK, fileno=got)
        except OSError:
            os.close(got)
            raise
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM:
            return sock
        sock.close()
        return None

    def streams(self, wanted: Iterable[processes.Socket]) -> Iterator[tuple[int, int, socket.socket]]:
        """Yield (descriptor, inode, socket) for those of *wanted* that are stream sockets still.

        Each is closed again, here, when the next one is asked for. Raises OSError: EPERM
        if fetching is forbidden, ENOSYS before Linux 5.6.
        """
        for descriptor, inode in wanted:
            try:
                sock = self.fetch_stream(descriptor)
            except OSError as error:
                if error.errno in _VANISHED:
                    continue
                raise
            if sock is not None:
                with sock:
                    if os.fstat(sock.fileno()).st_ino == inode:
                        yield descriptor, inode, sock

    def fileno(self) -> int:
        """Return the pidfd; it becomes readable when the whole process has ended, be it a zombie still."""
        return self._pidfd

    def close(self) -> None:
        """Let go of the process."""
        for pidfd in {self._pidfd, self._alive}:
            os.close(pidfd)

    def __enter__(self) -> OtherProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find_living_thread(self) -> None:
        """Go by another thread from now on. Raises ProcessLookupError if none lives, or before Linux 6.9."""
        for thread in processes.threads(self.pid):
            if thread != self.pid:
                try:
                    found = _call(_OPEN, thread, _THREAD)
                except OSError:
                    continue  # this one has just ended, or the kernel does not know pidfds of threads
                if self._alive != self._pidfd:
                    os.close(self._alive)
                self._alive = found
                return
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


def wait_for_end(of: Iterable[OtherProcess], timeout: float) -> set[int]:
    """Wait up to *timeout* seconds until at least one of these processes has ended; return all that have."""
    by_descriptor = {process.fileno(): process.pid for process in of}
    poll = select.poll()
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    return {by_descriptor[descriptor] for descriptor, _ in poll.poll(timeout * 1000)}


def getfd_is_filtered() -> bool:
    """Tell whether a seccomp filter forbids pidfd_getfd here altogether, as Docker's default profile does.

    A process may always fetch from itself (ptrace_may_access() asks nothing then), so
    a refusal even there comes from a filter.
    """
    with OtherProcess(os.getpid()) as myself:
        try:
            os.close(myself.fetch(myself.fileno()))
        except PermissionError:
            return True
    return False


def _call(number: int, *arguments: int) -> int:
    result: int = _libc().syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
