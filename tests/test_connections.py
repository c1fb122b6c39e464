"""list_connections(): what is said about connections in every state, and whose they are."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from keptalive.connections import Connection, list_connections
from keptalive.errors import BadInput, NoSuchProcess
from keptalive.linux import netlink, processes
from linux.confined import USER, confined
from linux.holder import IPPROTO_MPTCP, Holder, holding, keepalive
from linux.programs import IN_A_NAMESPACE, NOBODY, program
from support import missing, require, tcp_pair


def _of(sock: socket.socket, connections: list[Connection]) -> Connection:
    inode = os.fstat(sock.fileno()).st_ino
    (found,) = [connection for connection in connections if connection.inode == inode]
    return found


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]")])
def test_both_ends_of_a_connection(family: socket.AddressFamily, host: str) -> None:
    """Each with its owner, its ends, and what its timer says."""
    with tcp_pair(family) as (client, server):
        keepalive(client, 60)
        connections = list_connections()
        mine, other = _of(client, connections), _of(server, connections)

        assert (mine.pid, mine.process) == (os.getpid(), processes.name(os.getpid()))
        assert mine.local == f"{host}:{client.getsockname()[1]}"
        assert (mine.local, mine.remote) == (other.remote, other.local)
        assert (mine.state, mine.timer, mine.probes) == ("ESTABLISHED", "keepalive", 0)
        assert mine.expires is not None
        assert 50 < mine.expires <= 60
        assert (mine.protected, mine.keepalive, mine.idle) == (True, True, None)
        assert mine.uid == os.geteuid()
        assert (other.timer, other.expires, other.protected, other.keepalive) == ("off", None, False, False)


def _own_address() -> str:
    """Return an address of this machine that is not loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError as error:
            missing(f"no network: {error}")
        return str(sock.getsockname()[0])


def test_without_loopback() -> None:
    """Connections within this machine are left out, whatever end or family; others stay."""
    with (
        tcp_pair() as inner,
        tcp_pair(socket.AF_INET6) as inner6,
        socket.create_server((_own_address(), 0)) as listener,
        socket.create_connection(listener.getsockname()) as outer,
    ):
        both = [
            {connection.inode for connection in list_connections(pid=os.getpid(), loopback=loopback)}
            for loopback in (True, False)
        ]
        within = {os.fstat(sock.fileno()).st_ino for sock in (*inner, *inner6)}
        other = os.fstat(outer.fileno()).st_ino

    assert within | {other} <= both[0]
    assert both[1] & (within | {other}) == {other}


@pytest.mark.parametrize(
    ("kind", "end", "expected"),
    [
        # state, timer, protected, keepalive; of the end that is interesting
        ("late", ("ESTABLISHED", "keepalive"), (False, True)),
        ("off", ("ESTABLISHED", "off"), (False, False)),
        ("close-wait", ("CLOSE-WAIT", "keepalive"), (True, True)),
        ("fin-wait-2", ("FIN-WAIT-2", "keepalive"), (None, None)),
        ("unanswered", ("ESTABLISHED", "on"), (None, None)),
        ("zero-window", ("ESTABLISHED", "persist"), (None, None)),
        ("syn-sent", ("SYN-SENT", "on"), (None, None)),
        ("fin-wait-1", ("FIN-WAIT-1", "on"), (None, None)),
        ("last-ack", ("LAST-ACK", "on"), (None, None)),
        ("mapped", ("ESTABLISHED", "keepalive"), (True, True)),
        ("unaccepted", ("ESTABLISHED", "off"), (False, False)),
    ],
)
def test_each_state(kind: str, end: tuple[str, str], expected: tuple[bool | None, bool | None]) -> None:
    """In all but two states, and under any other timer, nothing is claimed."""
    with holding(1, kind) as holder:
        found: list[Connection] = []
        deadline = time.monotonic() + 30
        while not found and time.monotonic() < deadline:  # some timers take a moment to show
            found = [one for one in list_connections(netns_pid=holder.pid) if (one.state, one.timer) == end]

        assert found
        assert {(one.protected, one.keepalive) for one in found} == {expected}


def test_a_connection_that_nobody_has_accepted_has_no_owner() -> None:
    """Its inode is 0; that is not an owner hidden from this user."""
    with holding(1, "unaccepted") as holder:
        by_owner = {one.pid: one for one in list_connections(netns_pid=holder.pid)}

        assert by_owner.keys() == {None, holder.pid}
        assert (by_owner[None].inode, by_owner[None].process) == (0, None)


def test_mptcp() -> None:
    """Its subflows are TCP connections with an owner."""
    try:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError as error:
        require(False, f"MPTCP: {error}")
    with listener, socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        keepalive(client, 60)
        server, _ = listener.accept()
        with server:
            found = _of(client, list_connections())

            assert (found.pid, found.protected) == (os.getpid(), True)
            assert _of(client, list_connections(exact=True)).idle == 60


@pytest.fixture(scope="module")
def mixed() -> Iterator[Holder]:
    with holding(2) as holder:
        yield holder


def test_listeners_and_the_rest_are_shown_if_asked_for(mixed: Holder) -> None:
    """By themselves the connections that somebody holds."""
    states = {one.state for one in list_connections(netns_pid=mixed.pid)}
    every = {one.state for one in list_connections(netns_pid=mixed.pid, everything=True)}

    assert states == {
        "ESTABLISHED", "CLOSE-WAIT", "SYN-SENT", "FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK",
    }  # fmt: skip
    assert every >= states | {"LISTEN", "TIME-WAIT"}


def test_by_process(mixed: Holder) -> None:
    """By number and by name, found in the namespace where they live."""
    mine = [one for one in list_connections(netns_pid=mixed.pid) if one.pid == mixed.pid]

    def ends(connections: list[Connection]) -> Counter[tuple[str, str]]:
        return Counter((one.local, one.remote) for one in connections)

    assert ends(list_connections(pid=mixed.pid)) == ends(mine)
    assert ends(list_connections(pid=[mixed.pid, os.getpid()])) >= ends(mine)
    assert ends(list_connections(process=processes.name(mixed.pid))) >= ends(mine)
    assert list_connections(process="no-such-name") == []
    assert list_connections(pid=mixed.pid, process="no-such-name") == []


def test_processes_of_a_name_may_end_at_any_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the search for their name, or for their namespace: they are left out."""
    require(os.geteuid() == 0, "a network namespace needs root")
    monkeypatch.setattr(processes, "named", lambda _: [NOBODY, gone.pid, os.getpid()])
    opened = netlink.open_socket

    def ends(namespace_of: int | None = None) -> Any:
        if namespace_of is not None:
            gone.kill()
            gone.wait()
        return opened(namespace_of)

    monkeypatch.setattr(netlink, "open_socket", ends)
    with tcp_pair() as (client, _), program("hold", before=IN_A_NAMESPACE) as gone:
        assert _of(client, list_connections(process="any")).pid == os.getpid()


def test_by_remote_end(mixed: Holder) -> None:
    """By host and port, whatever family."""
    (first, *_) = list_connections(netns_pid=mixed.pid)
    host, _, port = first.remote.rpartition(":")

    assert {one.remote for one in list_connections(netns_pid=mixed.pid, remote=first.remote)} == {
        first.remote
    }
    assert {
        one.remote.rpartition(":")[2] for one in list_connections(netns_pid=mixed.pid, remote=f":{port}")
    } == {port}
    assert first in list_connections(netns_pid=mixed.pid, remote=host) or first.timer != "off"
    assert list_connections(netns_pid=mixed.pid, remote="192.0.2.1") == []
    assert [one.remote[:5] for one in list_connections(netns_pid=mixed.pid, remote="::1")] == ["[::1]"] * 4


def test_unprotected_ones(mixed: Holder) -> None:
    """Those known to be so: unknown is not unprotected."""
    every = list_connections(netns_pid=mixed.pid)
    found = list_connections(netns_pid=mixed.pid, unprotected=True)

    assert {one.protected for one in found} == {False}
    assert len(found) == sum(one.protected is False for one in every)
    assert 0 < len(found) < len(every)


def test_exactly(mixed: Holder) -> None:
    """The sockets themselves are asked, so that no timer hides anything."""
    exact = [one for one in list_connections(netns_pid=mixed.pid, exact=True) if one.pid is not None]

    assert all(one.idle is not None and one.count == 9 for one in exact)
    assert {one.protected for one in exact if one.state in ("ESTABLISHED", "CLOSE-WAIT")} == {True, False}
    hidden = [one for one in exact if one.timer == "on" and one.state == "ESTABLISHED"]
    assert hidden
    assert {(one.protected, one.keepalive, one.idle) for one in hidden} == {(True, True, 60)}
    assert {one.protected for one in exact if one.idle == 7200} <= {False, None}


def test_exactly_with_a_user_timeout() -> None:
    """In seconds, and None when off."""
    with tcp_pair() as (client, server):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_500)
        connections = list_connections(exact=True, pid=os.getpid())

        assert _of(client, connections).user_timeout == 30.5
        assert _of(server, connections).user_timeout is None


def test_a_process_whose_first_thread_has_ended() -> None:
    """Its connections are found all the same, and its namespace."""
    with program("first-thread-ends") as running:
        found = list_connections(pid=running.pid)

        assert {(one.pid, one.state) for one in found} == {(running.pid, "ESTABLISHED")}
        assert len(found) == 2
        assert {one.local for one in found} <= {one.local for one in list_connections(netns_pid=running.pid)}


def test_without_owners(mixed: Holder) -> None:
    """Faster; nothing else is missing."""
    assert {(one.pid, one.process) for one in list_connections(netns_pid=mixed.pid, owners=False)} == {
        (None, None)
    }
    assert len(list_connections(netns_pid=mixed.pid, owners=False)) == len(
        list_connections(netns_pid=mixed.pid)
    )


def test_sorted_by_owner() -> None:
    """By name, then number; those without one last."""
    with (
        program("named", "bbb"),
        program("named", "aaa") as second,
        program("named", "aaa") as third,
        tcp_pair(),
    ):
        connections = list_connections()

    names = [(one.process, one.pid) for one in connections if one.pid is not None]
    assert names == sorted(names)  # type: ignore[type-var]  # no None among them
    assert names.index(("aaa", min(second.pid, third.pid))) < names.index(("aaa", max(second.pid, third.pid)))
    assert None not in [one.pid for one in connections[: len(names)]]


def test_a_process_that_is_not() -> None:
    """Neither among processes nor for its namespace."""
    with pytest.raises(NoSuchProcess, match=str(NOBODY)):
        list_connections(pid=NOBODY)
    with pytest.raises(NoSuchProcess):
        list_connections(netns_pid=NOBODY)


def test_a_host_that_is_not() -> None:
    """What was asked for makes no sense, with the resolver's reason."""
    with pytest.raises(BadInput, match=r"no host 'host\.invalid' \("):
        list_connections(remote="host.invalid")


def test_another_user_sees_what_is_everybodys() -> None:
    """Ends, states and timers, but no owners and no settings; asked for by number, it is refused."""
    require(os.geteuid() == 0, "becoming somebody else needs root")
    with program("hold", "60") as running:
        assert running.said is not None
        code = (
            "found = keptalive.connections.list_connections(exact=True)\n"
            "print([one[:2] + one[8:12] for one in found if one.timer == 'keepalive' and one.protected])\n"
            f"says(lambda: keptalive.connections.list_connections(pid={running.pid}))\n"
            f"says(lambda: keptalive.connections.list_connections(netns_pid={running.pid}))\n"
            "import os; own = keptalive.connections.list_connections(netns_pid=os.getpid())\n"
            "print(len(own) > 0)"
        )
        rows, by_pid, by_namespace, own = confined(code, user=USER).splitlines()

    assert "(None, None, True, True, None, None)" in rows
    assert "it belongs to user root" in by_pid
    assert "the network namespace of process" in by_namespace
    assert "nsenter" in by_namespace
    assert own == "True"  # one's own is open to everybody
