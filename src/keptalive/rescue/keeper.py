"""Keep a policy on the sockets of other processes: each when it is first seen, and while it is young.

Rule: a socket is asked for as seldom as can be, since each time costs 30 us. What it costs
to see that nothing is new is the listing of descriptors.

A program may set options of its own after it has connected: Go and node do, psql does before.
So a socket is looked at when it is first seen and again when it, or its connection, is one
second and five seconds old. What a program sets later than that is its own affair. One that
is as it should be when it is first seen has inherited that, or is in good hands already: it is
not looked at again.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from keptalive.errors import KeptaliveError
from keptalive.linux.pidfd import OtherProcess
from keptalive.linux.refusals import refusal
from keptalive.policy import Policy
from keptalive.sockets import Report, apply, is_tcp

_LOOKS = (0.0, 1.0, 5.0)  # s: the ages at which a socket is looked at
_NOT_UP_YET = ("CLOSE", "SYN-SENT")  # its connection's youth is still to come


class Look(NamedTuple):
    """What was found and done about one TCP socket of a process."""

    pid: int
    descriptor: int
    inode: int
    report: Report
    again: bool  # it has been looked at before


class Keeper:
    """Sets a policy, None for the default, on TCP sockets of other processes; shared ones once.

    Listening ones too: what they accept inherits it.
    """

    def __init__(self, policy: Policy | None) -> None:
        self._policy = policy
        self._looks: dict[int, tuple[float, int]] = {}  # inode -> born, how often looked at
        #: Process -> why its sockets may not be reached.
        self.refusals: dict[int, KeptaliveError] = {}

    def look(self, over: Iterable[OtherProcess]) -> Iterator[Look]:
        """Look at all sockets of these processes for which it is time; forget those that are gone."""
        now = time.monotonic()
        listed: set[int] = set()
        for process in over:
            try:
                sockets = process.sockets()
                listed.update(inode for _, inode in sockets)
                # Once each, however many descriptors of the process are the same socket.
                due = {inode: (descriptor, inode) for descriptor, inode in sockets if self._due(inode, now)}
                yield from self._look(process, list(due.values()), now)
            except OSError as error:
                if error.errno not in (errno.ESRCH, errno.ENOENT):  # else it has just ended
                    self._refuse(process, error)
        self._looks = {inode: looks for inode, looks in self._looks.items() if inode in listed}

    def _look(self, process: OtherProcess, due: list[tuple[int, int]], now: float) -> Iterator[Look]:
        unborn, settled = set(), set()
        for descriptor, inode, sock in process.streams(due):
            self.refusals.pop(process.pid, None)
            if is_tcp(sock):
                report = apply(sock, self._policy)
                if report.after.tcp_info is not None and report.after.tcp_info.state in _NOT_UP_YET:
                    unborn.add(inode)
                again = inode in self._looks
                if not again and not report.changed:
                    settled.add(inode)
                yield Look(process.pid, descriptor, inode, report, again)
        for _, inode in due:
            born, done = self._looks.get(inode, (now, 0))
            if inode in unborn:
                self._looks[inode] = now, 1
            else:
                self._looks[inode] = born, len(_LOOKS) if inode in settled else done + 1

    def _due(self, inode: int, now: float) -> bool:
        born, done = self._looks.get(inode, (now, 0))
        return done < len(_LOOKS) and now - born >= _LOOKS[done]

    def _refuse(self, process: OtherProcess, error: OSError) -> None:
        if process.pid not in self.refusals:
            self.refusals[process.pid] = refusal(process.pid, error)
