"""The kernel's table of sockets: golden bytes, any bytes, and live ones."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptalive.errors import NotSupported, SocketError
from keptalive.linux import netlink, sock_diag
from keptalive.linux.endpoints import address_text
from keptalive.tcp_states import state_name
from linux.golden import IPV4, IPV6, LENGTH
from linux.holder import holding
from support import tcp_pair

Seen = tuple[str, str, int, str, int, str, int, int, int, int]


def _readable(row: sock_diag.Record) -> Seen:
    sport, dport, shape, source, peer, expires, uid, inode = row
    _, state, timer, probes = shape
    return (
        state_name(state), sock_diag.TIMERS[timer], probes,
        address_text(source), sport, address_text(peer), dport, expires, uid, inode,
    )  # fmt: skip


def test_golden_bytes_over_ipv4() -> None:
    """Every field of two records that a kernel sent."""
    client, server = map(_readable, sock_diag.decode(LENGTH, IPV4))

    assert client == ("ESTABLISHED", "keepalive", 0, "127.0.0.1", 40001, "127.0.0.1", 5001, 59992, 0, 1879241)
    assert server == ("ESTABLISHED", "off", 0, "127.0.0.1", 5001, "127.0.0.1", 40001, 0, 0, 1879242)


def test_golden_bytes_over_ipv6() -> None:
    """Addresses have 16 bytes there, and brackets."""
    server, client = map(_readable, sock_diag.decode(LENGTH, IPV6))

    assert server == ("ESTABLISHED", "off", 0, "[::1]", 5001, "[::1]", 40001, 0, 0, 1879246)
    assert client == ("ESTABLISHED", "off", 0, "[::1]", 40001, "[::1]", 5001, 0, 0, 1879245)


def test_a_link_local_address_keeps_its_interface() -> None:
    """Without its interface fe80::1 is no address."""
    raw = bytearray(IPV6[:LENGTH])
    raw[24:40] = socket.inet_pton(socket.AF_INET6, "fe80::1")
    raw[56:60] = socket.if_nametoindex("lo").to_bytes(4, "little")
    (row,) = sock_diag.decode(LENGTH, bytes(raw))

    assert _readable(row)[3] == "[fe80::1%lo]"
    assert _readable(row)[5] == "[::1]"


def test_golden_bytes_of_both_families() -> None:
    """They come mixed, and are decoded alike however they are."""
    both = IPV4[:LENGTH] + IPV6 + IPV4[LENGTH:]
    rows = sock_diag.decode(LENGTH, both)

    ipv4, ipv6 = sock_diag.decode(LENGTH, IPV4), sock_diag.decode(LENGTH, IPV6)
    assert rows == [ipv4[0], *ipv6, ipv4[1]]


@given(length=st.integers(16, 200), data=st.binary(max_size=800), family=st.sampled_from([None, 2, 10]))
def test_any_bytes_are_decoded_or_refused(length: int, data: bytes, family: int | None) -> None:
    """A record that is too short is an error, never nonsense or a crash."""
    raw = bytearray(data)
    if family is not None:
        raw[16::length] = bytes([family]) * len(raw[16::length])
    data = bytes(raw)
    try:
        rows = sock_diag.decode(length, data)
    except SocketError as error:
        assert error.errno == errno.EBADMSG
    else:
        assert len(rows) * length == len(data)


def _listed(states: int = sock_diag.CONNECTIONS, pid: int | None = None) -> list[Seen]:
    return [
        _readable(row) for batch in sock_diag.tcp_sockets(netlink.open_socket(pid), states) for row in batch
    ]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_live_connection(family: socket.AddressFamily) -> None:
    """Both ends are listed, with the inode of their descriptor and their timer."""
    with tcp_pair(family) as (client, server):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        by_inode = {row[-1]: row for row in _listed()}
        mine = by_inode[os.fstat(client.fileno()).st_ino]
        other = by_inode[os.fstat(server.fileno()).st_ino]

        assert mine[:2] == ("ESTABLISHED", "keepalive")
        assert 55_000 < mine[7] <= 60_000
        assert (mine[4], mine[6]) == (client.getsockname()[1], server.getsockname()[1])
        assert mine[8] == os.geteuid()
        assert other[:2] == ("ESTABLISHED", "off")


def test_listeners_are_listed_if_asked_for() -> None:
    """CONNECTIONS are those somebody holds; ALL has the rest, too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        inode = os.fstat(listener.fileno()).st_ino

        assert inode not in [row[-1] for row in _listed()]
        assert ("LISTEN", inode) in [(row[0], row[-1]) for row in _listed(sock_diag.ALL)]


def test_many_come_in_batches() -> None:
    """A table of more than one datagram comes whole, and leaves no socket open."""
    with holding(300, "off") as holder, closing(netlink.open_socket(holder.pid)) as sock:
        batches = list(sock_diag.tcp_sockets(sock))

        assert sum(map(len, batches)) == 600
        assert len(batches) > 1
        assert sock.fileno() == -1


def test_a_kernel_without_tcp_diag(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers that it does not know such sockets: not supported, with a hint."""
    monkeypatch.setattr(sock_diag, "_TCPDIAG_GETSOCK", 17)

    with pytest.raises(NotSupported, match="does not list its TCP sockets") as caught:
        _listed()

    assert caught.value.hint is not None
    assert "tcp_diag" in caught.value.hint


def test_an_answer_cut_short_is_not_called_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying again may help."""

    def dump(*_: object) -> None:
        raise SocketError(errno.EBADMSG, "cut short")

    monkeypatch.setattr(netlink, "dump", dump)

    with pytest.raises(SocketError, match="cut short"):
        _listed()
