"""A process tree that is followed: the first ones, what they start, and what got away from its parents.

Rule: who was a member once stays one until its end, whoever its parent is by then. A
process is held by a pidfd, so its number cannot come to mean another one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from keptalive.linux import processes
from keptalive.linux.pidfd import OtherProcess, wait_for_end
from keptalive.rescue.mark import worn_by


class Tree:
    """The living members of a tree, by number.

    mark: what members wear (see `mark`), for those whose parents ended between two looks.
    Raises OSError for one of *first* that cannot be held.
    """

    def __init__(self, first: Iterable[int], mark: int | None = None) -> None:
        self._mark = mark
        self._strangers = {os.getpid()}  # who was looked at and is not, or no longer, one of us
        self.members: dict[int, OtherProcess] = {}
        try:
            for pid in first:
                process = OtherProcess(pid)
                self.members[process.pid] = process
        except OSError:
            self.close()
            raise

    def grow(self) -> list[OtherProcess]:
        """Look for new members, and return them."""
        listed = set(processes.pids())
        self._strangers &= listed
        unknown = listed - self._strangers - self.members.keys()
        marked = {pid for pid in unknown if self._mark is not None and worn_by(pid) == self._mark}
        family = self.members.keys() | marked
        related = marked.union(processes.children(family, unknown - marked))
        self._strangers |= unknown - related
        return list(self._take(sorted(related)))

    def wait(self, seconds: float) -> list[OtherProcess]:
        """Wait until members end, at most so long; return those that did, which are then members no more."""
        ended = wait_for_end(self.members.values(), seconds)
        gone = [self.members.pop(pid) for pid in ended]
        for process in gone:
            self._strangers.add(process.pid)  # its zombie is listed, and marked, for a while yet
            process.close()
        return gone

    def close(self) -> None:
        """Let go of all."""
        for process in self.members.values():
            process.close()
        self.members.clear()

    def _take(self, pids: Iterable[int]) -> Iterator[OtherProcess]:
        for pid in pids:
            try:
                self.members[pid] = OtherProcess(pid)
            except OSError:
                continue  # ended meanwhile
            yield self.members[pid]
