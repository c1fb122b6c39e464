"""One look at the TCP connections of this machine, whose they are, and which are protected.

Rule: text is somebody else's business, and so are objects: a survey holds the kernel's
records as they come. All that is said about a connection beside its addresses, its
owner and its countdown are its facts, which are few and repeated; they are judged once
for each combination. That makes thirty thousand connections cheap.
"""

from __future__ import annotations

import _socket
import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, repeat
from operator import itemgetter

from keptalive.errors import NoSuchProcess, NotPermitted
from keptalive.linux import netlink, sock_diag
from keptalive.linux.endpoints import is_loopback, matcher
from keptalive.protection import SOON, Facts, Settings, judge
from keptalive.tcp_states import state_name

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost 5 ms
if TYPE_CHECKING:
    from typing import TypeVar

    from keptalive.linux.processes import Socket
    from keptalive.linux.sock_diag import Record

    _Answer = tuple[bool, int | None, int | None, int | None, float | None]
    K = TypeVar("K")
    V = TypeVar("V")

# What follows a record's shape in the key to its facts: nothing, a mark that its timer fires
# late, or a mark and the number of the settings that the socket gave when asked.
_LATE, _ASKED = b"L", b"A"

# Rows that are printed together; about as many as the kernel sends together.
_BATCH = 300


class Memo(dict["K", "V"]):
    """The results of a function by its argument: looked up at the speed of a dict."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[K], V]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: K) -> V:
        value = self[key] = self._function(key)
        return value


class Survey:
    """The connections of one look, as the kernel recorded them.

    batches: lists of sock_diag's records, each with a key into `facts` in place of its shape.
        They may come straight from the kernel, so they can be gone through once.
    facts: key -> what is known beside addresses, owner and countdown.
    holders: inode -> (pid, descriptor) of an owner. names: pid -> name of the process.
    hidden: processes that would not let this user see which sockets they hold.
    """

    def __init__(
        self,
        batches: Iterable[list[Record]],
        holders: dict[int, Socket],
        hidden: list[int],
    ) -> None:
        self.batches = batches
        self.holders = holders
        self.hidden = hidden
        self.names = Memo(_name)
        self.facts = Memo(self._judge)
        self._settings: list[Settings] = []

    def owners(self, batch: list[Record]) -> Iterable[int | None]:
        """Return the process that holds each row of a batch."""
        if not self.holders:
            return repeat(None, len(batch))
        nobody = (None, None)
        return (self.holders.get(row[-1], nobody)[0] for row in batch)

    def owners_or_users(self, batch: list[Record]) -> Iterable[int | None]:
        """Return the same, but ~uid of its user for a socket whose owner is hidden from this one."""
        if not self.hidden:
            return self.owners(batch)
        holders = self.holders
        return (holders[row[-1]][0] if row[-1] in holders else ~row[-2] if row[-1] else None for row in batch)

    def keep(self, wanted: Callable[[Record], bool]) -> None:
        """Leave out the rows that are not *wanted*."""
        self.batches = (list(filter(wanted, batch)) for batch in self.batches)

    def sort(self) -> None:
        """Order the rows by owner: name, then number; those without one last."""
        rows = list(chain.from_iterable(self.batches))
        holding = {pid for pid in self.owners(rows) if pid is not None}
        order = sorted(holding, key=lambda pid: (self.names[pid], pid))
        rank = {pid: place for place, pid in enumerate(order)}
        places = {inode: rank[pid] for inode, (pid, _) in self.holders.items() if pid in rank}
        last = len(rank)
        rows.sort(key=lambda row: places.get(row[-1], last))
        self.batches = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]

    def ask(self) -> None:
        """Ask the sockets themselves for their settings, where that is permitted."""
        rows = list(chain.from_iterable(self.batches))
        answers = _ask(self.holders, {row[-1] for row in rows})
        numbers: dict[_Answer, int] = {}
        for position, row in enumerate(rows):
            answer = answers.get(row[-1])
            if answer is not None:
                number = numbers.setdefault(answer, len(numbers))
                key = row[2][:4] + _ASKED + number.to_bytes(4, "big")
                rows[position] = (*row[:2], key, *row[3:])
        self._settings = [Settings(*answer) for answer in numbers]
        self.batches = [rows]

    def _judge(self, key: bytes) -> Facts:
        _, state, timer, probes = key[:4]
        return judge(
            state_name(state),
            sock_diag.TIMERS[timer] if timer < len(sock_diag.TIMERS) else "unknown",
            probes,
            late=key[4:] == _LATE,
            asked=self._settings[int.from_bytes(key[5:], "big")] if key[4:5] == _ASKED else None,
        )


def survey(
    *,
    pid: int | Collection[int] | None = None,
    process: str | None = None,
    remote: str | None = None,
    unprotected: bool = False,
    exact: bool = False,
    owners: bool = True,
    netns_pid: int | None = None,
    everything: bool = False,
    loopback: bool = True,
) -> Survey:
    """Look at the connections once. Arguments, order and errors as for list_connections()."""
    wanted = None if pid is None and process is None else _wanted(pid, process)
    states = sock_diag.ALL if everything else sock_diag.CONNECTIONS
    # First, since the kernel's answer comes in while /proc is searched.
    at = [netlink.open_socket(netns_pid)] if wanted is None or netns_pid is not None else _sockets_at(wanted)
    records = _records(at, states)
    holders, hidden = _holders(wanted) if owners or exact or wanted is not None else ({}, [])
    if pid is not None and hidden:
        from keptalive.linux.refusals import refusal

        raise refusal(hidden[0])
    found = Survey(records, holders, hidden)
    if wanted is not None:
        found.keep(lambda row: row[-1] in holders)
    if remote is not None:
        matches = matcher(remote)
        found.keep(lambda row: matches(row[4], row[1]))
    if not loopback:
        known = Memo(is_loopback)
        found.keep(lambda row: not (known[row[3]] or known[row[4]]))
    if exact:
        found.ask()
    if unprotected:
        found.keep(lambda row: found.facts[row[2]].protected is False)
    if holders:
        found.sort()
    return found


def _wanted(pid: int | Collection[int] | None, process: str | None) -> Collection[int]:
    """Return the processes whose connections are asked for. Raises NoSuchProcess."""
    from keptalive.linux import processes

    if pid is None:
        return processes.named(process or "*")
    asked = {pid} if isinstance(pid, int) else set(pid)
    for one in asked:
        if not processes.exists(one):
            raise NoSuchProcess(errno.ESRCH, f"there is no process {one}")
    return asked if process is None else asked.intersection(processes.named(process))


def _holders(wanted: Collection[int] | None) -> tuple[dict[int, Socket], list[int]]:
    from keptalive.linux import processes

    return processes.owners(wanted)


def _name(pid: int) -> str:
    from keptalive.linux import processes

    return processes.name(pid)


def _records(sockets: Iterable[_socket.socket], states: int) -> Iterator[list[Record]]:
    """Return the records that these netlink sockets give, in batches, those of late timers marked."""
    batches = chain.from_iterable(sock_diag.tcp_sockets(sock, states) for sock in sockets)
    first = next(batches, [])  # what cannot be listed at all is said before anything is printed
    return map(_marked, chain([first], batches))


def _marked(batch: list[Record]) -> list[Record]:
    if max(map(itemgetter(5), batch), default=0) <= SOON * 1000:
        return batch
    return [(*row[:2], row[2] + _LATE, *row[3:]) if row[5] > SOON * 1000 else row for row in batch]


def _sockets_at(homes: Collection[int]) -> Iterator[_socket.socket]:
    """Open a netlink socket in each of the network namespaces in which these processes live."""
    from keptalive.linux.processes import network_namespace

    own = os.stat("/proc/thread-self/ns/net").st_ino  # noqa: PTH116  # pathlib takes 8 ms to import
    seen = set()
    for pid in homes:
        try:
            namespace = os.stat(network_namespace(pid)).st_ino  # noqa: PTH116
            if namespace not in seen:
                yield netlink.open_socket(None if namespace == own else pid)
                seen.add(namespace)
        except NotPermitted:
            raise
        except OSError:
            continue  # it has ended, or is another user's, which processes.owners() is going to find


def _ask(holders: dict[int, Socket], inodes: set[int]) -> dict[int, _Answer]:
    """Return inode -> what that socket says of itself, for those that may be asked."""
    from keptalive.linux.pidfd import OtherProcess
    from keptalive.sockets import is_tcp, read_options

    by_process: dict[int, list[Socket]] = {}
    for inode, (pid, descriptor) in holders.items():
        if inode in inodes:
            by_process.setdefault(pid, []).append((descriptor, inode))
    answers: dict[int, _Answer] = {}
    for pid, wanted in by_process.items():
        try:
            with OtherProcess(pid) as process:
                for _, inode, sock in process.streams(wanted):
                    if is_tcp(sock):
                        enabled, *times = read_options(sock).values()
                        answers[inode] = (bool(enabled), *times)  # type: ignore[assignment]
        except OSError:
            continue  # not permitted, or gone: its settings stay unknown
    return answers
