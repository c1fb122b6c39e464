"""What programs protected from inside tell the follower: that they are.

Rule: the kernel says who speaks (SO_PEERCRED), so a word about oneself is all that can be
said. Speaking never waits for the follower, nor for there being one.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_MOST_WAITING = 4096  # programs that spoke while the follower looked elsewhere: SOMAXCONN


class Announcement(NamedTuple):
    """Process *pid*, as long as it runs this executable, is protected from inside."""

    pid: int
    executable: str


def executable(pid: int | str) -> str:
    """Return the file that a process runs, "" if that cannot be seen."""
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115
    except OSError:
        return ""


def announce(address: str) -> None:
    """Say that this process is protected; raises OSError if nobody is there to hear it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        sock.connect(address)
        sock.send(os.fsencode(executable("self")))


class Announcements:
    """The follower's ear."""

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        self._listener.bind(address)
        self._listener.listen(_MOST_WAITING)

    def heard(self) -> Iterator[Announcement]:
        """Yield what was said since the last time."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            with sock:
                pid, *_ = _CREDENTIALS.unpack(
                    sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                )
                sock.settimeout(0.1)  # it has connected, and is about to speak
                try:
                    yield Announcement(pid, os.fsdecode(sock.recv(4096)))
                except OSError:
                    continue  # it ended instead

    def close(self) -> None:
        """Hear no more."""
        self._listener.close()
