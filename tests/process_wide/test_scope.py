"""Scope: which addresses are meant, and what a connect to a name comes to."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any

import pytest

import keptalive
from keptalive import Policy, PolicyError
from keptalive.process_wide.scope import Scope
from test_sockets import kernel_holds


def test_everything_has_no_scope() -> None:
    """Without networks and ports nothing is compared at all."""
    assert Scope.of(None, None) is None


@pytest.mark.parametrize(
    ("networks", "ports", "address", "meant"),
    [
        ("10.0.0.0/8", None, ("10.1.2.3", 80), True),
        ("10.1.2.3/8", None, ("10.9.9.9", 80), True),
        ("10.0.0.0/8", None, ("11.1.2.3", 80), False),
        ("10.1.2.3", None, ("10.1.2.3", 80), True),
        ("10.0.0.0/8", None, ("fd00::1", 80, 0, 0), False),
        ("10.0.0.0/8", None, ("::ffff:10.1.2.3", 80, 0, 0), True),
        ("fd00::/8", None, ("fd00::1", 80, 0, 0), True),
        ("fe80::/10", None, ("fe80::1%1", 80, 0, 1), True),
        (["192.0.2.0/24", "10.0.0.0/8"], None, ("10.1.2.3", 80), True),
        (ipaddress.ip_network("10.0.0.0/8"), None, ("10.1.2.3", 80), True),
        (None, 443, ("example.org", 443), True),
        (None, 443, ("example.org", 80), False),
        (None, range(8000, 9000), ("10.1.2.3", 8080), True),
        ("10.0.0.0/8", [443], ("10.1.2.3", 443), True),
        ("10.0.0.0/8", [443], ("10.1.2.3", 80), False),
        ("10.0.0.0/8", [443], ("example.org", 80), False),
        ("10.0.0.0/8", [443], ("example.org", 443), None),
        ("10.0.0.0/8", None, (b"10.1.2.3", 80), None),
        ("10.0.0.0/8", None, ("", 80), None),
        ("10.0.0.0/8", None, "/a/unix/socket", None),
        ("10.0.0.0/8", None, ("10.1.2.3",), None),
        ("10.0.0.0/8", None, None, None),
        (None, 443, ("10.1.2.3", "443"), None),
    ],
)
def test_what_is_meant(networks: Any, ports: Any, address: Any, meant: bool | None) -> None:
    """A literal address is in or out; a name, or a form that connect() refuses anyway, is left open."""
    scope = Scope.of(networks, ports)

    assert scope is not None
    assert scope.holds(address) is meant


@pytest.mark.parametrize(
    ("networks", "ports", "said"),
    [
        ("example.org", None, "write addresses such as 10.0.0.0/8"),
        (["10.0.0.0/99"], None, "networks: '10.0.0.0/99'"),
        ([], None, "networks is empty"),
        (None, [], "ports is empty"),
        (None, 0, "ports: 0 is no port"),
        (None, [65536], "ports: 65536 is no port"),
        (None, ["https"], "ports: 'https' is no port"),
        (None, "https", "ports: 'https' is no port"),
        (None, "443", "ports: '443' is no port; write numbers"),
    ],
)
def test_what_is_no_network_and_no_port(networks: Any, ports: Any, said: str) -> None:
    """A ValueError that says what to write."""
    with pytest.raises(PolicyError, match=said):
        Scope.of(networks, ports)


def test_it_can_be_read() -> None:
    """As part of a report."""
    assert str(Scope.of(["10.0.0.0/8", "fd00::/8"], [443, 80])) == "in 10.0.0.0/8, fd00::/8 to port 80, 443"
    assert str(Scope.of(None, range(1, 100))) == "to port 1, 2, 3, 4, 5, 6, 7, 8, ..."


def connected(host: str) -> tuple[Any, ...]:
    """Return what the kernel holds for a connection to *host*, and again after a later setting."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.connect((host, server.getsockname()[1]))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1000)
        return kernel_holds(sock)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
def test_only_the_networks_that_were_named(host: str) -> None:
    """An address is compared before the connect, a name afterwards by where it led."""
    keptalive.install(Policy(20, 10, 3), networks="127.0.0.0/8")
    inside = connected(host)
    keptalive.install(Policy(20, 10, 3), networks=["10.0.0.0/8", "fd00::/8"])
    outside = connected(host)

    assert inside == (True, 20, 10, 3)
    assert outside[:2] == (False, 1000)


def test_only_the_ports_that_were_named() -> None:
    """Whatever the address."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        keptalive.install(ports=server.getsockname()[1])
        for listener, meant in ((server, True), (other, False)):
            with socket.create_connection(listener.getsockname()) as sock:
                assert kernel_holds(sock)[0] is meant


def test_a_name_and_no_waiting_is_not_covered_and_works() -> None:
    """connect_ex() comes back before there is a peer to compare: the report says so."""
    report = keptalive.install(networks="127.0.0.0/8")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.setblocking(False)
        number = sock.connect_ex(("localhost", server.getsockname()[1]))

        assert number in (0, errno.EINPROGRESS)
        assert kernel_holds(sock)[0] is (number == 0)
    assert any("non-blocking connects to a host name" in row.what for row in report.cannot)
