"""TLS under install(): a connection that dies in mid-body is an error, not the end of the body."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import keptalive
from clients.servers import Origin, authority, blackhole
from keptalive import Policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="IP_MINTTL silences a socket on Linux only")

QUICK = Policy(1, 1, 1)
#: CPython hands the death of a TLS connection on as its end (gh-115627); measured on 3.10.13, 3.11.7, 3.12.1.
SURELY_BROKEN = sys.version_info < (3, 11, 8) or (3, 12) <= sys.version_info < (3, 12, 2)


@pytest.fixture
def origin() -> Iterator[Origin]:
    authority()
    with Origin(tls=True) as origin:
        yield origin


def connected(origin: Origin) -> http.client.HTTPSConnection:
    """Return a connection that was opened and wrapped, as http.client does it."""
    connection = http.client.HTTPSConnection(origin.host, origin.port, context=authority().client())
    connection.connect()
    return connection


def half_then_dead(connection: http.client.HTTPSConnection) -> object:
    """Ask for a body that ends with the connection, let the path die half way; return what comes of it."""
    sock = connection.sock
    connection.request("GET", "/part/until-close")
    response = connection.getresponse()
    try:
        body = response.read(2)
        blackhole(sock)
        return body + response.read()
    except OSError as error:
        return type(error)
    finally:
        response.close()
        connection.close()


def test_a_body_cut_short_raises(origin: Origin) -> None:
    """Beside it the control: the same options set by another hand, on a connection opened before."""
    control = connected(origin)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1)):
        control.sock.setsockopt(socket.IPPROTO_TCP, option, value)
    control.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    keptalive.install(QUICK)
    with ThreadPoolExecutor(2) as pool:
        plain = pool.submit(half_then_dead, control)
        covered = pool.submit(half_then_dead, connected(origin))

    assert covered.result() in (keptalive.ConnectionLost, TimeoutError)
    if SURELY_BROKEN:
        assert plain.result() == b"do"


def test_a_whole_body_is_whole(origin: Origin) -> None:
    """The server's FIN without close_notify stays an end."""
    keptalive.install(QUICK)
    connection = connected(origin)
    connection.request("GET", "/part/until-close")
    with connection.getresponse() as response:
        origin.gate.set()
        body = response.read()
    connection.close()

    assert body == b"done"


def test_only_connections_opened_here_are_watched(origin: Origin) -> None:
    """Not one that was open before, not the server's side, and none that is not meant."""
    with socket.create_connection((origin.host, origin.port)) as before:
        keptalive.install(QUICK)
        with authority().client().wrap_socket(before, server_hostname="localhost") as tls:
            assert tls.suppress_ragged_eofs is True
    keptalive.install(QUICK, networks="10.0.0.0/8")
    outside = connected(origin)
    assert outside.sock.suppress_ragged_eofs is True
    outside.close()
    keptalive.install(QUICK)
    inside = connected(origin)
    assert inside.sock.suppress_ragged_eofs is not True
    inside.close()
