"""list_connections(): the TCP connections of this machine, one named tuple each.

Rule: what was not seen is None. How they are found is in `survey`. Linux only;
elsewhere NotSupported.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from keptalive.linux.endpoints import address_text
from keptalive.survey import Memo, Survey, survey


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
    loopback: bool = True,
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
    loopback: False leaves out those within this machine, at 127.0.0.0/8 or ::1, where no
        firewall forgets anything.

    Sorted by owner if owners are searched for, else as the kernel lists them. Raises
    NotSupported (not Linux), NoSuchProcess, NotPermitted, and BadInput if *remote*
    cannot be resolved.
    """
    return _connections(
        survey(
            pid=pid,
            process=process,
            remote=remote,
            unprotected=unprotected,
            exact=exact,
            owners=owners,
            netns_pid=netns_pid,
            everything=everything,
            loopback=loopback,
        )
    )


def _connections(found: Survey) -> list[Connection]:
    address = Memo(address_text)
    connections = []
    for batch in found.batches:
        for holder, row in zip(found.owners(batch), batch, strict=True):
            sport, dport, key, source, peer, expires, uid, inode = row
            facts = found.facts[key]
            settings = facts.settings
            connections.append(
                Connection(
                    holder,
                    None if holder is None else found.names[holder],
                    f"{address[source]}:{sport}",
                    f"{address[peer]}:{dport}",
                    facts.state,
                    facts.timer,
                    None if facts.timer == "off" else expires / 1000,
                    facts.probes,
                    facts.protected,
                    settings.keepalive,
                    settings.idle,
                    settings.interval,
                    settings.count,
                    settings.user_timeout,
                    uid,
                    inode,
                )
            )
    return connections
