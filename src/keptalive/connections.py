"""What the kernel says about the TCP connections of this machine, and whose they are.

Rule: what was not seen is None. A survey holds the kernel's records as they came, and
text is made of them once: all that is said about a connection beside its addresses, its
owner and its countdown are its facts, which are few and repeated. They are judged once
for each combination, which is what makes thirty thousand connections cheap.

Linux only; elsewhere NotSupported.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable
from itertools import repeat
from operator import itemgetter
from typing import NamedTuple, TypeVar

from keptalive.errors import NoSuchProcess
from keptalive.linux import endpoints, netlink, processes, sock_diag
from keptalive.linux.refusals import refusal
from keptalive.protection import SOON, Facts, Settings, judge
from keptalive.tcp_info import STATES

K = TypeVar("K")
V = TypeVar("V")

# What follows a record's shape in the key to its facts: nothing, a mark that its timer fires
# late, or a mark and the number of the settings that the socket gave when asked.
_LATE, _ASKED = b"L", b"A"


class Connection(NamedTuple):
    """One TCP connection; None is unknown. Times in seconds.

    pid, process: the process with the lowest number that holds it; its name.
    local, remote: "ADDR:PORT", IPv6 in brackets.
    state: "ESTABLISHED", "CLOSE-WAIT" ...: RFC 9293's names.
    timer: the one that is seen: "off", "keepalive", "on" (retransmission), "persist" (zero
        window) or "timewait", ss's names. expires: when it fires; None if there is none.
    probes: what was sent and not answered: keepalive or window probes, or retransmissions.
    protected: in ESTABLISHED and CLOSE-WAIT, True if a keepalive timer fires within 200 s,
        False if it is off or later; None if another timer hides it, and in all other
        states, where no answer is awaited. Where the socket was asked (`exact`): True if
        keepalive is on with idle and interval of at most 200 s.
    keepalive: is SO_KEEPALIVE on.
    idle, interval, count, user_timeout: known with `exact` only; a user timeout that is off
        is None, too.
    uid, inode: of the socket. An inode of 0 means that no process holds it any more.
    """

    pid: int | None
    process: str | None
    local: str
    remote: str
    state: str
    timer: str
    expires: float | None
    probes: int
    protected: bool | None
    keepalive: bool | None
    idle: int | None
    interval: int | None
    count: int | None  # type: ignore[assignment]  # the word for it, rather than tuple's method
    user_timeout: float | None
    uid: int
    inode: int


def list_connections(
    *,
    pid: int | Collection[int] | None = None,
    process: str | None = None,
    remote: str | None = None,
    unprotected: bool = False,
    exact: bool = False,
    owners: bool = True,
    netns_pid: int | None = None,
    everything: bool = False,
) -> list[Connection]:
    """Return the TCP connections of this machine: of this thread's network namespace.

    pid, process: only those held by these processes, or by processes of this name (with the
        shell's * and ?), in the namespaces that these live in.
    remote: only those to "HOST", "HOST:PORT" or ":PORT"; a name stands for all its addresses.
    unprotected: only those known to be unprotected.
    exact: ask each socket for idle, interval, count and user timeout, where that is
        permitted: one's own sockets, for root all.
    owners: False skips the search for owners in /proc, which takes most of the time.
    netns_pid: in the network namespace of this process.
    everything: listeners, half open connections and those in TIME-WAIT as well.

    Sorted by owner if owners are searched for, else as the kernel lists them. Raises
    NotSupported (not Linux), NoSuchProcess, NotPermitted, and SocketError if *remote*
    cannot be resolved.
    """
    return survey(
        pid=pid,
        process=process,
        remote=remote,
        unprotected=unprotected,
        exact=exact,
        owners=owners,
        netns_pid=netns_pid,
        everything=everything,
    ).connections()


class Memo(dict[K, V]):
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

    rows: sock_diag's records, each with a key into `facts` in place of its shape.
    facts: key -> what is known beside addresses, owner and countdown.
    holders: inode -> (pid, descriptor) of an owner. names: pid -> name of the process.
    hidden: processes that would not let this user see which sockets they hold.
    """

    def __init__(
        self, rows: list[sock_diag.Record], holders: dict[int, tuple[int, int]], hidden: list[int]
    ) -> None:
        self.rows = rows
        self.holders = holders
        self.hidden = hidden
        self.names = Memo(processes.name)
        self.facts = Memo(self._judge)
        self._settings: list[Settings] = []

    def sort(self) -> None:
        """Order the rows by owner: name, then number; those without one last."""
        order = sorted(
            {pid for pid in self.pids() if pid is not None}, key=lambda pid: (self.names[pid], pid)
        )
        rank: dict[int | None, int] = {pid: place for place, pid in enumerate(order)}
        places = {inode: rank[pid] for inode, (pid, _) in self.holders.items() if pid in rank}
        last = len(rank)
        self.rows.sort(key=lambda row: places.get(row[-1], last))

    def pids(self) -> Iterable[int | None]:
        """Return the owner of each row, in their order."""
        if not self.holders:
            return repeat(None, len(self.rows))
        nobody = (None, None)
        return (self.holders.get(row[-1], nobody)[0] for row in self.rows)

    def connections(self) -> list[Connection]:
        """Return the rows as connections."""
        address, port = Memo(endpoints.address_text), Memo(endpoints.port_number)
        found = []
        for pid, row in zip(self.pids(), self.rows, strict=True):
            key, sport, dport, source, peer, expires, uid, inode = row
            state, timer, probes, protected, settings = self.facts[key]
            found.append(
                Connection(
                    pid,
                    None if pid is None else self.names[pid],
                    f"{address[source]}:{port[sport]}",
                    f"{address[peer]}:{port[dport]}",
                    state,
                    timer,
                    None if timer == "off" else expires / 1000,
                    probes,
                    protected,
                    *settings,
                    uid,
                    inode,
                )
            )
        return found

    def ask(self) -> None:
        """Ask the sockets themselves for their settings, where that is permitted."""
        answers = _ask(self.holders, {row[-1] for row in self.rows})
        numbers: dict[Settings, int] = {}
        for position, row in enumerate(self.rows):
            settings = answers.get(row[-1])
            if settings is not None:
                number = numbers.setdefault(settings, len(numbers))
                self.rows[position] = (row[0][:4] + _ASKED + number.to_bytes(4, "big"), *row[1:])
        self._settings = list(numbers)

    def _judge(self, key: bytes) -> Facts:
        _, state, timer, probes = key[:4]
        return judge(
            STATES[state] if state < len(STATES) else "UNKNOWN",
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
) -> Survey:
    """Look at the connections once. Arguments, order and errors as for list_connections()."""
    wanted = _wanted(pid, process)
    rows = _records(wanted, netns_pid, sock_diag.ALL if everything else sock_diag.CONNECTIONS)
    if remote is not None:
        matches = endpoints.matcher(remote)
        rows = [row for row in rows if matches(row[4], row[2])]
    holders, hidden = ({}, []) if wanted is None and not (owners or exact) else processes.owners(wanted)
    if wanted is not None:
        if pid is not None and hidden:
            raise refusal(hidden[0])
        rows = [row for row in rows if row[-1] in holders]
    found = Survey(rows, holders, hidden)
    if exact:
        found.ask()
    if unprotected:
        found.rows = [row for row in found.rows if found.facts[row[0]].protected is False]
    if holders:
        found.sort()
    return found


def _wanted(pid: int | Collection[int] | None, process: str | None) -> Collection[int] | None:
    """Return the processes whose connections are asked for, None for all. Raises NoSuchProcess."""
    if pid is None:
        return None if process is None else processes.named(process)
    asked = [pid] if isinstance(pid, int) else list(pid)
    for one in asked:
        if not processes.exists(one):
            raise NoSuchProcess(errno.ESRCH, f"there is no process {one}")
    return asked if process is None else set(asked).intersection(processes.named(process))


def _records(wanted: Collection[int] | None, netns_pid: int | None, states: int) -> list[sock_diag.Record]:
    """Return the records of the namespaces in question, those of late timers marked."""
    rows: list[sock_diag.Record] = []
    for namespace in _namespaces(wanted, netns_pid):
        sock = netlink.open_socket(namespace)
        try:
            for records in sock_diag.tcp_sockets(sock, states):
                rows += records
        finally:
            sock.close()
    if max(map(itemgetter(5), rows), default=0) > SOON * 1000:
        return [(row[0] + _LATE, *row[1:]) if row[5] > SOON * 1000 else row for row in rows]
    return rows


def _namespaces(wanted: Collection[int] | None, netns_pid: int | None) -> list[int | None]:
    """Return a process for each network namespace to be looked into; None for this thread's own."""
    if netns_pid is not None:
        return [netns_pid]
    if wanted is None:
        return [None]
    found: dict[int, int | None] = {}
    for pid in wanted:
        try:
            found.setdefault(os.stat(f"/proc/{pid}/ns/net").st_ino, pid)  # noqa: PTH116
        except OSError:
            continue  # ended, or another user's, which processes.owners() is going to find
    own = os.stat("/proc/thread-self/ns/net").st_ino  # noqa: PTH116  # pathlib takes 8 ms to import
    return [None if namespace == own else pid for namespace, pid in found.items()]


def _ask(holders: dict[int, tuple[int, int]], inodes: set[int]) -> dict[int, Settings]:
    """Return inode -> what that socket says of itself, for those that may be asked."""
    from keptalive.linux.pidfd import OtherProcess
    from keptalive.sockets import is_tcp, read_options

    by_process: dict[int, list[processes.Socket]] = {}
    for inode, (pid, descriptor) in holders.items():
        if inode in inodes:
            by_process.setdefault(pid, []).append((descriptor, inode))
    answers = {}
    for pid, wanted in by_process.items():
        try:
            with OtherProcess(pid) as process:
                for _, inode, sock in process.streams(wanted):
                    if is_tcp(sock):
                        enabled, *rest = read_options(sock).values()
                        answers[inode] = Settings(bool(enabled), *rest)  # type: ignore[arg-type]  # whole numbers
        except OSError:
            continue  # not permitted, or gone: its settings stay unknown
    return answers
