"""The follower of a run: stays with a program's process tree until its last process has ended.

Rule: it looks, sets options, writes its summary, and has no other effect. A process that it
may not reach is named, with the reason, unless it says itself that it is protected.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import PurePath

from keptalive.environment import default_policy
from keptalive.errors import KeptaliveError, NotPermitted
from keptalive.linux import netlink, processes, sock_diag
from keptalive.linux.pidfd import OtherProcess
from keptalive.linux.refusals import cause, refusal
from keptalive.policy import Policy
from keptalive.rescue.announcements import Announcements, executable
from keptalive.rescue.injection import address
from keptalive.rescue.keeper import Keeper, Look
from keptalive.rescue.summary import Entry, Summary
from keptalive.rescue.tree import Tree

# s between looks. To a connection keepalive means nothing before it has been idle for long, but
# a listening socket should be ready for its first client.
_FIRST_PAUSES = (0.05, 0.1, 0.2, 0.4)
_PAUSE = 1.0

_SILENT = "and no word came from inside: it is no Python 3.10 or later, or it does not heed PYTHONPATH"


def reach(pid: int, descriptor: int) -> str | None:
    """Try to get a descriptor of another process; return why that is refused, if it is."""
    try:
        with OtherProcess(pid) as process:
            os.close(process.fetch(descriptor))
    except OSError as error:
        refused = refusal(pid, error)
        return cause(pid, fetching=True)[0] if isinstance(refused, NotPermitted) else _sentence(refused)
    return None


class Follower:
    """One run's: the tree, what keeps its sockets, what is told of it. Raises OSError before Linux 5.3."""

    def __init__(
        self, first: int, mark: int, policy: str | None, summary: str | None, *, refused: str | None
    ) -> None:
        self._tree = _tree(first, mark)
        chosen = Policy.parse(policy) if policy else None
        self._keeper = Keeper(chosen)
        self._ear = Announcements(address(mark)) if refused else None
        self._summary = Summary(summary, str(chosen or default_policy()), refused)
        self._heard: dict[int, str] = {}  # process -> its executable: who said that it is protected
        self._executables: dict[int, str] = {}  # the same, of members

    def stay(self) -> None:
        """Look again and again until nobody of the tree is left."""
        pauses = chain(_FIRST_PAUSES, repeat(_PAUSE))
        while self._tree.members:
            try:
                self.look()
                self._summary.write()
            except Exception as error:  # noqa: BLE001  # the next connections are not to suffer from it
                self._summary.trouble = repr(error)
            until = time.monotonic() + next(pauses)
            while self._tree.members and (left := until - time.monotonic()) > 0:
                self._bury(self._tree.wait(left))
            if not self._tree.members:
                self._tree.grow()  # whom the last one left behind
        self._listen()
        self._believe()
        self._summary.write(complete=True)

    def look(self) -> None:
        """Look at every process once."""
        self._listen()  # before the tree grows, so that it then has all who have spoken
        self._tree.grow()
        for look in self._keeper.look(self._tree.members.values()):
            self._note(look)
        self._believe()
        self._name_uncovered()

    def _bury(self, ended: Iterable[OtherProcess]) -> None:
        self._listen()  # whoever has spoken did so before it ended
        for process in ended:
            if process.pid in self._heard:
                self._protected_from_inside(process.pid, self._heard.pop(process.pid))
            self._keeper.refusals.pop(process.pid, None)
            self._executables.pop(process.pid, None)
            self._summary.ended(process.pid)

    def _entry(self, pid: int) -> Entry:
        return self._summary.entry(pid, processes.name(pid))

    def _note(self, look: Look) -> None:
        entry = self._entry(look.pid)
        entry.way = "outside"
        if not look.again:
            entry.sockets += 1
            entry.changed += look.report.changed
        for problem in look.report.problems:
            entry.trouble(problem)

    def _listen(self) -> None:
        if self._ear is not None:
            self._heard.update(self._ear.heard())

    def _believe(self) -> None:
        """Take down who has said that it is protected, and who no longer is: an exec leaves nothing of it."""
        for pid, its_executable in self._heard.items():
            if pid in self._tree.members:
                self._executables[pid] = its_executable
                self._protected_from_inside(pid, its_executable)
            elif not _is_alive(pid):  # it came and went; who lives and is no member is not ours
                self._protected_from_inside(pid, its_executable)
                self._summary.ended(pid)
        self._heard.clear()
        for pid, its_executable in list(self._executables.items()):
            if executable(pid) not in ("", its_executable):
                del self._executables[pid]
                self._summary.retract(pid)

    def _protected_from_inside(self, pid: int, its_executable: str) -> None:
        self._summary.entry(pid, processes.name(pid) or PurePath(its_executable).name).believe()

    def _name_uncovered(self) -> None:
        """Take down who cannot be reached and has said nothing, but has TCP sockets, or may have some."""
        refused = {pid: error for pid, error in self._keeper.refusals.items() if pid not in self._executables}
        tcp = _tcp_sockets() if refused or self._executables else set()
        for pid in (*refused, *self._executables):
            has = _sockets(pid)
            if has is None or has & tcp:
                entry = self._entry(pid)
                entry.sockets = max(entry.sockets, len(has & tcp if has else ()))
                if pid in refused:
                    entry.trouble(self._why(refused[pid]))

    def _why(self, refused: KeptaliveError) -> str:
        return _sentence(refused) if self._ear is None else f"{_sentence(refused)}; {_SILENT}"


def _tree(first: int, mark: int) -> Tree:
    """Return the tree of a run, or what is left of it."""
    try:
        return Tree([first], mark)
    except ProcessLookupError:
        remains = Tree([], mark)
        remains.grow()
        return remains


def _sentence(error: KeptaliveError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _is_alive(pid: int) -> bool:
    return processes.status(pid).get("State", "Z")[0] not in "ZX"  # a zombie, or dead (proc(5))


def _sockets(pid: int) -> set[int] | None:
    """Return the sockets of a process by inode, None if this user may not know them."""
    try:
        return {inode for _, inode in processes.sockets(pid)}
    except PermissionError:
        return None
    except OSError:
        return set()  # it has just ended


def _tcp_sockets() -> set[int]:
    """Return the TCP sockets of this network namespace by inode."""
    try:
        table = sock_diag.tcp_sockets(netlink.open_socket(), sock_diag.ALL)
        return {record[-1] for records in table for record in records}
    except KeptaliveError:
        return set()  # this kernel does not list them
