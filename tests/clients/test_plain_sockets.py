"""Sockets themselves: TCP of every kind, listening ones, and those that have no keepalive."""

from __future__ import annotations

import socket
import sys
import warnings
from typing import Any

import pytest

import keptalive
from clients.servers import Origin, authority, blackhole
from clients.world import LATER, POLICY, World
from keptalive import KeptaliveWarning, Policy, Uncovered, UnknownTarget
from matrix.witness import options, wanted
from support import require, tcp_pair


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_connected_socket(family: int) -> None:
    """The same socket back, and the kernel holds the policy; before, nothing."""
    with tcp_pair(family) as (client, _):
        assert keptalive.read(client).enabled is False
        assert keptalive.hold(client, POLICY) is client
        assert options(client) == wanted(str(POLICY))
        keptalive.hold(client, LATER)
        assert keptalive.read(client).idle == LATER.idle
        keptalive.hold(client)
        assert keptalive.read(client).idle == LATER.idle  # better protected than the default policy asks


def test_before_connect() -> None:
    """What is set on a socket stays when it connects."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        keptalive.hold(client, POLICY)
        client.connect(server.getsockname())
        assert options(client) == wanted(str(POLICY))


def test_a_listening_socket_covers_what_it_accepts() -> None:
    """The sockets that it accepts inherit its options; those of one not held have none."""
    for policy in (None, POLICY):
        with socket.create_server(("127.0.0.1", 0)) as server:
            if policy is not None:
                keptalive.hold(server, policy)
            with socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
                assert options(accepted)["enabled"] == (policy is not None)
                if policy is not None:
                    assert options(accepted) == wanted(str(policy))


def test_a_tls_socket(world: World) -> None:
    """Held before or after the handshake."""
    for early in (True, False):
        raw = socket.create_connection((world.secure.host, world.secure.port))
        if early:
            keptalive.hold(raw, POLICY)
        with authority().client().wrap_socket(raw, server_hostname="127.0.0.1") as sock:
            keptalive.hold(sock, POLICY)
            assert options(sock) == wanted(str(POLICY))


def test_a_dead_tls_socket_is_no_end(world: World) -> None:
    """recv() raises where the path died, on every Python, and returns nothing where the server closed."""
    require(sys.platform == "linux", "IP_MINTTL is Linux's")
    for dies in (True, False):
        raw = socket.create_connection((world.secure.host, world.secure.port), timeout=30)
        with authority().client().wrap_socket(raw, server_hostname="127.0.0.1") as sock:
            keptalive.hold(sock, Policy(1, 1, 1))
            if dies:
                blackhole(sock)
                with pytest.raises(TimeoutError, match="Connection timed out"):
                    sock.recv(1)
            else:
                world.secure.drop_connections()
                assert sock.recv(1) == b""


def test_a_unix_socket_needs_no_cover() -> None:
    """Nothing to set, nothing said."""
    one, other = socket.socketpair()
    with one, other, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keptalive.hold(one) is one


def test_a_datagram_socket_has_none() -> None:
    """Refused by default; with strict=False a warning."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(Uncovered, match="only TCP has keepalive"):
            keptalive.hold(sock)
        with pytest.warns(KeptaliveWarning, match="only TCP has keepalive"):
            assert keptalive.hold(sock, strict=False) is sock
        with pytest.raises(UnknownTarget):
            keptalive.read(sock)


def test_what_makes_connections_but_has_none() -> None:
    """A module, class or function: what to hold instead is said."""
    for target, what in (
        (socket, "a module"),
        (keptalive.Policy, "a class"),
        (socket.create_connection, "a function"),
    ):
        with pytest.raises(UnknownTarget, match=f"{what} has no connections of its own: hold a session"):
            keptalive.hold(target)


def test_a_closed_socket() -> None:
    """It says so, with the errno of the kernel."""
    with tcp_pair() as (client, _):
        client.close()
        with pytest.raises(OSError, match="closed"):
            keptalive.hold(client)


class Foreign:
    """A socket of a library that nobody thought of: no subclass of the standard one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_whatever_is_like_a_socket() -> None:
    """A socket is told by its methods."""
    with tcp_pair() as (client, _):
        keptalive.hold(Foreign(client), POLICY)
        assert options(client) == wanted(str(POLICY))
        assert keptalive.read(Foreign(client)).idle == POLICY.idle


def test_a_gevent_socket(world: World) -> None:
    """gevent's sockets are sockets of its own, patched or not."""
    gevent_socket = pytest.importorskip("gevent.socket")
    with gevent_socket.socket() as sock:
        keptalive.hold(sock, POLICY)
        sock.connect((world.origin.host, world.origin.port))
        assert keptalive.read(sock).idle == POLICY.idle
    hub = pytest.importorskip("gevent").get_hub()
    hub.destroy(destroy_loop=True)


def test_a_socket_of_pysocks(world: World) -> None:
    """A SOCKS socket is one of the standard library's."""
    socks = pytest.importorskip("socks")
    with socks.socksocket() as sock:
        sock.set_proxy(socks.SOCKS5, world.socks.host, world.socks.port)
        keptalive.hold(sock, POLICY)
        sock.connect((world.origin.host, world.origin.port))
        assert keptalive.read(sock).idle == POLICY.idle


def test_nothing_is_done_when_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """KEPTALIVE_POLICY=off."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")
    with tcp_pair() as (client, _), Origin():
        keptalive.hold(client, POLICY)
        assert options(client)["enabled"] == 0
