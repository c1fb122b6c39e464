"""http.client: a held connection before and after connect(), and over reconnects."""

from __future__ import annotations

import copy
import http.client
import pickle
import socket
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import keptalive
import keptalive.clients.http_client as ours
from clients.cut_short import check_endings, endings, whole_bodies
from clients.servers import Origin, Server, authority
from clients.world import LATER, POLICY, World, as_kernel, kernel, nodelay, unprotected
from keptalive import Policy


def connect_to(server: Server) -> http.client.HTTPConnection:
    if server.tls:
        return http.client.HTTPSConnection(server.address, timeout=30, context=authority().client())
    return http.client.HTTPConnection(server.address, timeout=30)


def get(connection: http.client.HTTPConnection, path: str = "/") -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


@pytest.fixture(params=["plain", "TLS"])
def server(request: pytest.FixtureRequest, world: World) -> Server:
    return world.secure if request.param == "TLS" else world.origin


def test_before_connect(server: Server) -> None:
    """The first request connects, and the connection is covered; a plain one is not."""
    with closing(connect_to(server)) as plain:
        assert get(plain) == b"hello"
        assert unprotected(kernel(server))
        assert keptalive.read(plain)[0].enabled is False
    with closing(keptalive.hold(connect_to(server), POLICY)) as held:
        assert keptalive.read(held) == []
        assert get(held) == b"hello"
        assert kernel(server) == [as_kernel(POLICY)]
        assert keptalive.read(held)[0].idle == POLICY.idle
        assert nodelay(held.sock)


def test_after_connect(server: Server) -> None:
    """An open connection is covered at once, and when it reconnects: after a close announced, and one not."""
    with closing(connect_to(server)) as connection:
        connection.connect()
        keptalive.hold(connection, POLICY)
        assert kernel(server) == [as_kernel(POLICY)]
        get(connection, "/close")
        assert connection.sock is None
        assert get(connection) == b"hello"
        assert kernel(server) == [as_kernel(POLICY)]
        with pytest.raises(http.client.RemoteDisconnected):
            get(connection, "/drop")
        assert get(connection) == b"hello"
        assert kernel(server) == [as_kernel(POLICY)]


def test_through_a_tunnel(world: World) -> None:
    """set_tunnel() before or after hold(): the socket is covered before the proxy has answered CONNECT."""
    for tunnel_first in (True, False):
        connection = http.client.HTTPSConnection(
            world.proxy.host, world.proxy.port, timeout=30, context=authority().client()
        )
        with closing(connection):
            if tunnel_first:
                connection.set_tunnel(world.secure.host, world.secure.port)
            keptalive.hold(connection, POLICY)
            if not tunnel_first:
                connection.set_tunnel(world.secure.host, world.secure.port)
            assert get(connection) == b"hello"
            assert kernel(world.proxy) == [as_kernel(POLICY)]


def test_a_handshake_that_hangs() -> None:
    """What waits in the TLS handshake is covered as well: the server accepted and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = http.client.HTTPSConnection(*silent.getsockname(), timeout=0.3)
        keptalive.hold(connection, POLICY)
        seen = []
        plain_wrap = connection._context.wrap_socket

        def wrap_socket(sock: socket.socket, **options: object) -> object:
            seen.append(keptalive.read(sock).idle)
            return plain_wrap(sock, **options)

        connection._context.wrap_socket = wrap_socket
        with pytest.raises(TimeoutError):
            connection.connect()

    assert seen == [POLICY.idle]


def test_a_connection_class_that_connects_its_own_way(world: World) -> None:
    """connect() is all that counts: a subclass may make its socket however it likes."""

    class Own(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.create_connection((self.host, self.port), 30)

    with closing(keptalive.hold(Own(world.origin.address), POLICY)) as connection:
        connection.connect()
        assert kernel(world.origin) == [as_kernel(POLICY)]


def test_a_unix_socket_needs_no_cover(tmp_path: Path) -> None:
    """Nothing to set, nothing said."""

    class Unix(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(tmp_path / "socket"))

    with Origin(path=tmp_path / "socket"), warnings.catch_warnings():
        warnings.simplefilter("error")
        with closing(keptalive.hold(Unix("localhost"))) as connection:
            assert get(connection) == b"hello"
            assert keptalive.read(connection) == []


def test_the_last_hold_counts(world: World) -> None:
    """For what is open and for what comes."""
    with closing(keptalive.hold(connect_to(world.origin), POLICY)) as connection:
        connection.connect()
        keptalive.hold(connection, LATER)
        assert kernel(world.origin) == [as_kernel(LATER)]
        get(connection, "/close")
        get(connection)
        assert kernel(world.origin) == [as_kernel(LATER)]


@pytest.mark.parametrize("framing", ["content-length", "until-close"])
def test_an_answer_still_being_read(server: Origin, framing: str) -> None:
    """read() takes a response, also where the connection has let go of the socket."""
    with closing(keptalive.hold(connect_to(server), POLICY)) as connection:
        connection.request("GET", f"/part/{framing}")
        with connection.getresponse() as response:
            assert (connection.sock is None) == (framing == "until-close")
            assert [state.idle for state in keptalive.read(response)] == [POLICY.idle]
            keptalive.hold(response, LATER)
            assert kernel(server) == [as_kernel(LATER)]
            server.gate.set()
            assert response.read() == b"done"
            assert keptalive.read(response) == []


def test_the_subclasses(server: Server) -> None:
    """HTTPConnection and HTTPSConnection of ours are theirs, covered."""
    if server.tls:
        connection = ours.HTTPSConnection(server.address, policy=POLICY, context=authority().client())
    else:
        connection = ours.HTTPConnection(server.address, policy=POLICY)
    with closing(connection):
        assert get(connection, "/close") == b"hello"
        assert get(connection) == b"hello"
        assert kernel(server) == [as_kernel(POLICY)]
    with closing(ours.HTTPConnection("localhost")) as default:
        assert isinstance(default, http.client.HTTPConnection)


def test_copies_and_pickles_are_new(world: World) -> None:
    """They work, for themselves, and are not held."""
    connection = keptalive.hold(connect_to(world.origin), POLICY)
    for other in (copy.copy(connection), pickle.loads(pickle.dumps(connection))):
        with closing(other):
            assert get(other) == b"hello"
            assert unprotected(kernel(world.origin))
            assert connection.sock is None


def start(_world: World) -> Callable:
    def start(url: str, policy: Policy | None) -> tuple:
        scheme, _, rest = url.partition("://")
        address, _, path = rest.partition("/")
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        context = {"context": authority().client()} if scheme == "https" else {}
        connection = kind(address, timeout=30, **context)
        if policy is not None:
            keptalive.hold(connection, policy)
        connection.request("GET", "/" + path)
        response = connection.getresponse()
        (sock,) = ours.sockets(response)

        def finish() -> bytes:
            with closing(connection), response:
                return response.read()

        return sock, finish

    return start


def test_a_dead_connection_is_no_end(world: World) -> None:
    """A held connection raises where the body is cut short; what a plain one does depends on its Python."""
    check_endings(endings(world, start(world)), (TimeoutError, http.client.IncompleteRead))


def test_a_fin_is_an_end(world: World) -> None:
    """Also over TLS without close_notify."""
    assert whole_bodies(world, start(world)) == [b"done"] * 6
