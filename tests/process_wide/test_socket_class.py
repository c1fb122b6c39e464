"""Sockets under install(): protected where they connect, and otherwise as they always were."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import keptalive
from clients.servers import Origin, authority
from keptalive import Policy
from support import tcp_pair
from test_sockets import kernel_holds

STRICT = Policy(20, 10, 3)
HELD = (True, 20, 10, 3)
DEFAULT = (True, 45, 15, 9)


def set_keepalive(sock: socket.socket, *settings: tuple[str, int]) -> None:
    """Set options by name, in the order given."""
    for name, value in settings:
        level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
        sock.setsockopt(level, getattr(socket, name), value)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_what_connects_is_protected(family: socket.AddressFamily) -> None:
    """On the socket itself, over IPv4 and IPv6; the control, the same before, is not."""
    with tcp_pair(family) as (before, _):
        keptalive.install(STRICT)
        with tcp_pair(family) as (client, _):
            assert kernel_holds(client) == HELD

        assert kernel_holds(before)[0] is False


def test_what_is_accepted_is_left_alone() -> None:
    """Only what this process opens is changed, not what it listens for."""
    keptalive.install(STRICT)
    with tcp_pair() as (_, accepted):
        assert kernel_holds(accepted)[0] is False

        set_keepalive(accepted, ("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 500))

        assert kernel_holds(accepted)[:2] == (True, 500)


def connect_unbound(sock: socket.socket, address: object) -> None:
    socket.socket.connect(sock, address)  # type: ignore[arg-type]


def connect_without_waiting(sock: socket.socket, address: object) -> None:
    sock.setblocking(False)
    assert sock.connect_ex(address) in (0, errno.EINPROGRESS)  # type: ignore[arg-type]


def connect_with_patience(sock: socket.socket, address: object) -> None:
    sock.settimeout(30)
    sock.connect(address)  # type: ignore[arg-type]


def connect_for_a_number(sock: socket.socket, address: object) -> None:
    assert sock.connect_ex(address) == 0  # type: ignore[arg-type]


def connect_in_asyncio(sock: socket.socket, address: object) -> None:
    async def main() -> None:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)  # type: ignore[arg-type]

    asyncio.run(main(), debug=True)


WAYS = [
    connect_unbound,
    connect_without_waiting,
    connect_with_patience,
    connect_for_a_number,
    connect_in_asyncio,
]


@pytest.mark.parametrize("connect", WAYS)
def test_every_way_to_connect(connect: Callable[[socket.socket, object], None]) -> None:
    """Unbound, non-blocking, with a timeout, for an error number, by an event loop in debug mode."""
    keptalive.install(STRICT)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        connect(sock, server.getsockname())

        assert kernel_holds(sock) == HELD


def test_subclasses_with_a_connect_of_their_own() -> None:
    """As PySocks has: what it connects in the end is covered, and what it returns is its business."""

    class Detour(socket.socket):
        def connect(self, address: object) -> str:  # type: ignore[override]
            super().connect(server.getsockname())
            return f"by detour, not to {address}"

    keptalive.install(STRICT)
    with socket.create_server(("127.0.0.1", 0)) as server, Detour() as sock:
        assert sock.connect("elsewhere") == "by detour, not to elsewhere"
        assert kernel_holds(sock) == HELD


@pytest.mark.parametrize("first", ["connect", "wrap"])
def test_tls_sockets(first: str) -> None:
    """Wrapped after the connect or connected after being wrapped."""
    keptalive.install(STRICT)
    context = authority().client()
    with Origin(tls=True) as origin:
        plain = socket.socket()
        if first == "connect":
            plain.connect((origin.host, origin.port))
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            if first == "wrap":
                tls.connect((origin.host, origin.port))

            assert kernel_holds(tls) == HELD
            assert tls.version() is not None


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Python has no Unix sockets here")
def test_sockets_without_keepalive_connect_as_ever(tmp_path: Path) -> None:
    """Unix, datagram and pair sockets: no warning (they are errors here), no difference."""
    keptalive.install(STRICT)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        client.connect(str(tmp_path / "socket"))
        client.sendall(b"x")
    with (
        socket.socket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        client.send(b"x")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

        assert server.recv(10) == b"x"


def refused(sock: socket.socket) -> object:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        sock.connect(other.getsockname())
    return None


def closed(sock: socket.socket) -> object:
    sock.close()
    return sock.connect(("127.0.0.1", 9))


def option_closed(sock: socket.socket) -> object:
    sock.close()
    return sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)


MISUSES: list[Callable[[socket.socket], object]] = [
    refused,
    closed,
    option_closed,
    lambda sock: sock.connect(),  # type: ignore[call-arg]
    lambda sock: sock.connect(1, 2),  # type: ignore[call-arg]
    lambda sock: sock.connect(address=("127.0.0.1", 9)),  # type: ignore[call-arg]
    lambda sock: sock.connect(None),  # type: ignore[arg-type]
    lambda sock: sock.connect("/no/unix/socket"),
    lambda sock: sock.connect(("127.0.0.1",)),  # type: ignore[arg-type]
    lambda sock: sock.connect(("127.0.0.1", "http")),
    lambda sock: sock.connect(("127.0.0.1", 70000)),
    lambda sock: sock.connect((b"\xff", 1)),
    lambda sock: sock.connect(("no.such.host.invalid", 1)),
    lambda sock: sock.connect_ex(("127.0.0.1", 1)),
    lambda sock: sock.connect_ex(("127.0.0.1", "x")),
    lambda sock: sock.setsockopt(),  # type: ignore[call-overload]
    lambda sock: sock.setsockopt([], {}, 1),  # type: ignore[call-overload]
    lambda sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 0),
    lambda sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, "x"),  # type: ignore[call-overload]
    lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, None, 4),
    lambda sock: socket.socket.connect(None, ("127.0.0.1", 1)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("misuse", MISUSES)
@pytest.mark.parametrize("scope", [{}, {"networks": "127.0.0.0/8", "ports": range(1, 60000)}])
def test_errors_are_the_same(misuse: Callable[[socket.socket], object], scope: dict[str, object]) -> None:
    """Whatever a program gets wrong: the same type, the same arguments, the same number, the same result."""

    def outcome() -> object:
        with socket.socket() as sock:
            try:
                return misuse(sock)
            except (OSError, TypeError, ValueError, OverflowError) as error:
                return type(error), str(error), getattr(error, "errno", None)

    plain = outcome()
    keptalive.install(STRICT, **scope)  # type: ignore[arg-type]
    wrapped = outcome()

    # A Python function calls itself by another name than one in C does; only the argument count is its own.
    if isinstance(plain, tuple) and "keyword" in plain[1]:
        assert isinstance(wrapped, tuple)
        plain, wrapped = plain[0], wrapped[0]
    if isinstance(plain, tuple) and "descriptor" in plain[1]:
        assert isinstance(wrapped, tuple)
        plain, wrapped = plain[0], wrapped[0]
    assert wrapped == plain


def test_a_refused_option_does_not_stop_the_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that refuses is named in a warning; the connection is made."""
    keptalive.install(STRICT)

    def refuse(*args: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    class Jailed(socket.socket):
        setsockopt = refuse  # type: ignore[assignment]

    monkeypatch.setattr("keptalive.cover._kernel_put", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server, Jailed() as sock:
        with pytest.warns(keptalive.KeptaliveWarning, match="the kernel refused"):
            sock.connect(server.getsockname())

        assert sock.getpeername() == server.getsockname()


# What a program sets later. Like anthropic (60/60/5), in several orders; and its own better figures.
WORSE = (("SO_KEEPALIVE", 1), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5), ("TCP_KEEPIDLE", 60))
BETTER = (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 5))


@pytest.mark.parametrize("settings", [WORSE, WORSE[::-1], WORSE[2:] + WORSE[:2], WORSE[:0:-1]])
def test_a_later_worse_setting_is_replaced_by_the_default(settings: tuple[tuple[str, int], ...]) -> None:
    """All three values, in whatever order they came: a count never stays alone at an interval not its own."""
    keptalive.install()
    with tcp_pair() as (client, _):
        set_keepalive(client, *settings)

        assert kernel_holds(client) == DEFAULT


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (0, 2, 3, 1)])
def test_a_later_better_setting_stays(order: tuple[int, ...]) -> None:
    """The program's own choice, where idle and interval are no longer than the default's."""
    keptalive.install()
    settings = [BETTER[i] for i in order]
    with tcp_pair() as (client, _):
        set_keepalive(client, *settings)

        assert kernel_holds(client) == (True, 30, 10, 5)


def test_a_count_that_comes_before_its_interval_is_not_taken() -> None:
    """It could belong to a longer interval; so the connection is the more patient one."""
    keptalive.install()
    with tcp_pair() as (client, _):
        set_keepalive(client, BETTER[3], *BETTER[:3])

        assert kernel_holds(client) == (True, 30, 10, 9)


def test_a_better_setting_that_is_made_worse_is_replaced() -> None:
    """First 30/10/5, then half of it longer than the default allows."""
    keptalive.install()
    with tcp_pair() as (client, _):
        set_keepalive(client, *BETTER)
        set_keepalive(client, ("TCP_KEEPINTVL", 30))

        assert kernel_holds(client) == DEFAULT


def test_a_setting_made_before_the_connect() -> None:
    """The same rule: better stays, worse is replaced."""
    keptalive.install()
    for settings, outcome in ((BETTER, (True, 30, 10, 5)), (WORSE, DEFAULT)):
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
            set_keepalive(sock, *settings)
            sock.connect(server.getsockname())

            assert kernel_holds(sock) == outcome


def test_keepalive_is_not_switched_off() -> None:
    """As a library may that believes it wastes packets. The packed form of the value counts as well."""
    keptalive.install()
    for off in (0, bytes(4)):
        with tcp_pair() as (client, _):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, off)

            assert kernel_holds(client) == DEFAULT


def test_an_explicit_policy_is_set_exactly_and_stays() -> None:
    """Better figures of the program's are replaced as well as worse ones; other options are its own."""
    keptalive.install(Policy(100, 50, 4))
    with tcp_pair() as (client, _):
        for settings in (WORSE, BETTER):
            set_keepalive(client, *settings)
            assert kernel_holds(client) == (True, 100, 50, 4)
        set_keepalive(client, ("TCP_NODELAY", 1), ("TCP_USER_TIMEOUT", 7000))

        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


def test_an_explicit_user_timeout_stays() -> None:
    """It is part of the policy then."""
    keptalive.install(Policy(20, 10, 3, user_timeout=50))
    with tcp_pair() as (client, _):
        set_keepalive(client, ("TCP_USER_TIMEOUT", 7000))

        assert keptalive.read(client).user_timeout == 50


def test_after_uninstall_the_program_sets_what_it_likes() -> None:
    """What was protected stays so until the program says otherwise, and then it has its way."""
    keptalive.install()
    with tcp_pair() as (client, _):
        keptalive.uninstall()
        assert kernel_holds(client) == DEFAULT
        set_keepalive(client, *WORSE)

        assert kernel_holds(client) == (True, 60, 60, 5)


@pytest.mark.parametrize("transport_socket", [False, True])
def test_hold_and_apply_have_the_last_word(transport_socket: bool) -> None:
    """What is said of one object is more to the point than what is said of the process."""
    keptalive.install()
    with tcp_pair() as (client, _):
        target = asyncio.trsock.TransportSocket(client) if transport_socket else client
        for setter in (keptalive.apply, keptalive.hold):
            setter(target, Policy(300, 60, 2))  # type: ignore[operator]

            assert kernel_holds(client) == (True, 300, 60, 2)

        set_keepalive(client, ("TCP_KEEPIDLE", 400))

        assert kernel_holds(client) == (True, 400, 60, 2)


def test_a_second_object_on_the_same_descriptor() -> None:
    """As uvloop makes one for each setsockopt(): the connection is judged, not the object."""
    keptalive.install()
    with tcp_pair() as (client, _):
        view = socket.socket(fileno=client.fileno())
        try:
            set_keepalive(view, *WORSE)
        finally:
            view.detach()

        assert kernel_holds(client) == DEFAULT


def test_methods_keep_their_faces() -> None:
    """Name, documentation, home, and pickles by name."""
    before = socket.socket.connect
    keptalive.install()

    assert socket.socket.connect is not before
    for name in ("connect", "connect_ex", "setsockopt"):
        method = getattr(socket.socket, name)
        assert (method.__name__, method.__qualname__, method.__module__) == (name, f"socket.{name}", "socket")
        assert method.__doc__ == getattr(socket.SocketType, name).__doc__
        assert pickle.loads(pickle.dumps(method)) is method
    assert pickle.loads(pickle.dumps(socket.socket)) is socket.socket


def test_many_threads_connect_while_it_is_turned() -> None:
    """Turning the switch in the middle of connects breaks none of them."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def connect(address: tuple[str, int]) -> None:
        while not stop.is_set():
            try:
                socket.create_connection(address).close()
            except BaseException as error:
                failures.append(error)

    with Origin() as origin:
        threads = [threading.Thread(target=connect, args=((origin.host, origin.port),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            keptalive.install(STRICT)
            keptalive.uninstall()
        stop.set()
        for thread in threads:
            thread.join()

    assert failures == []


def test_ssl_sockets_that_fail_to_connect() -> None:
    """A refused TLS connection leaves the socket as the ssl module leaves it."""

    def outcome() -> object:
        context = ssl.create_default_context()
        with socket.socket() as other, context.wrap_socket(socket.socket(), server_hostname="x") as tls:
            other.bind(("127.0.0.1", 0))
            return tls.connect_ex(other.getsockname())

    plain = outcome()
    keptalive.install(STRICT)

    assert outcome() == plain == errno.ECONNREFUSED
