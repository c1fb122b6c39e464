"""apply(), read() and socket_options() on real sockets."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

import keptalive
from keptalive import Policy, SocketError, UnknownTarget, sockets
from support import missing, tcp_pair

FAMILIES = [socket.AF_INET, socket.AF_INET6]


def kernel_holds(sock: socket.socket) -> tuple[bool, int, int, int]:
    """Ask the kernel itself, not the code under test."""
    tcp = socket.IPPROTO_TCP
    return (
        bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)),
        sock.getsockopt(tcp, socket.TCP_KEEPIDLE),
        sock.getsockopt(tcp, socket.TCP_KEEPINTVL),
        sock.getsockopt(tcp, socket.TCP_KEEPCNT),
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_apply_sets_and_reports(family: int) -> None:
    """The kernel holds the policy, and the report says what was before and is now."""
    with tcp_pair(family) as (client, server):
        report = keptalive.apply(client, Policy(60, 60, 100, user_timeout=2.5))

        assert kernel_holds(client) == (True, 60, 60, 100)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
        assert kernel_holds(server)[0] is False
        assert (report.ok, report.changed, report.problems) == (True, True, ())
        assert (report.before.enabled, report.after.enabled) == (False, True)
        assert report.after.user_timeout == 2.5
        assert report.after.remote == sockets.format_address(client.getpeername())


def test_accepted_connections_inherit() -> None:
    """Setting a listening socket covers what it accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        keptalive.apply(listener, Policy(33, 11, 4))
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert kernel_holds(accepted) == (True, 33, 11, 4)


def test_before_connect() -> None:
    """An unconnected socket takes the policy too."""
    with socket.socket() as sock:
        report = keptalive.apply(sock)

        assert kernel_holds(sock) == (True, 45, 15, 9)
        assert report.after.remote is None


def _own(idle: int, interval: int, enabled: bool = True) -> Callable[[socket.socket], None]:
    def set_up(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5)

    return set_up


@pytest.mark.parametrize(
    ("own", "left_alone"),
    [
        (_own(30, 10), True),
        (_own(45, 15), True),
        (_own(7200, 75), False),  # SO_KEEPALIVE alone: on, and useless for two hours
        (_own(30, 16), False),
        (_own(46, 10), False),
        (_own(30, 10, enabled=False), False),
    ],
)
def test_the_default_leaves_better_sockets_alone(
    own: Callable[[socket.socket], None], left_alone: bool
) -> None:
    """Only one whose keepalive is on with idle and interval both no longer than the default's."""
    with tcp_pair() as (client, _):
        own(client)
        before = kernel_holds(client)
        report = keptalive.apply(client)

        assert kernel_holds(client) == (before if left_alone else (True, 45, 15, 9))
        assert bool(report.left_alone) is left_alone
        assert report.changed is not left_alone
        assert report.ok


def test_an_explicit_policy_is_set_exactly() -> None:
    """Even where the socket was more eager."""
    with tcp_pair() as (client, _):
        _own(5, 5)(client)
        keptalive.apply(client, Policy(60, 60, 100))

        assert kernel_holds(client) == (True, 60, 60, 100)


@pytest.mark.parametrize("slip", ["60:15:9", 60, (60, 15, 9)])
def test_what_is_no_policy_is_refused(slip: object) -> None:
    """The natural slip gets a sentence that names the way, before anything is changed."""
    with tcp_pair() as (client, _):
        for verb in (keptalive.apply, keptalive.hold):
            with pytest.raises(keptalive.PolicyError, match=r"Policy\.parse"):
                verb(client, slip)  # type: ignore[operator]

        assert kernel_holds(client)[0] is False


def test_a_value_outside_a_limit_changes_nothing() -> None:
    """The refusal comes before the first setsockopt."""
    with tcp_pair() as (client, _):
        before = kernel_holds(client)
        with pytest.raises(ValueError, match="TCP_KEEPCNT"):
            keptalive.apply(client, Policy(60, 60, 500))

        assert kernel_holds(client) == before


def test_other_options_stay() -> None:
    """TCP_NODELAY, the timeout and blocking are none of our business."""
    with tcp_pair() as (client, _):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(3.5)
        keptalive.apply(client)

        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client.gettimeout() == 3.5


class Stubborn:
    """A socket whose kernel refuses one option: what Docker, gVisor or an old kernel may do."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock, self._number = sock, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def setsockopt(self, level: int, number: int, value: int) -> None:
        if number == self._number:
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        self._sock.setsockopt(level, number, value)


def test_what_the_kernel_refuses_is_named() -> None:
    """A refused option is a problem in the report, the others are set."""
    with tcp_pair() as (client, _):
        report = keptalive.apply(Stubborn(client, socket.TCP_KEEPCNT), Policy(20, 10, 3))  # type: ignore[arg-type]

        assert kernel_holds(client)[:3] == (True, 20, 10)
        assert not report.ok
        assert "count: the kernel refused 3: Protocol not available" in report.problems


def test_a_closed_socket_is_an_oserror() -> None:
    """EBADF comes out as SocketError, errno kept."""
    with tcp_pair() as (client, _):
        client.close()
        with pytest.raises(SocketError) as caught:
            keptalive.apply(client)

        assert caught.value.errno == errno.EBADF
        assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("kind", [(socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)])
def test_only_tcp(kind: tuple[int, int]) -> None:
    """apply() and read() of another socket are a TypeError that names its kind."""
    with socket.socket(*kind) as sock:
        for verb in (keptalive.apply, keptalive.read):
            with pytest.raises(UnknownTarget, match=r"AF_\w+ SOCK_\w+ socket"):
                verb(sock)


def test_socket_options_do_the_same() -> None:
    """The list for other libraries' parameters sets what apply() sets."""
    with tcp_pair() as (client, _):
        for option in keptalive.socket_options(Policy(21, 7, 3)):
            client.setsockopt(*option)

        assert kernel_holds(client) == (True, 21, 7, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_read_names_both_ends(family: int) -> None:
    """ADDR:PORT, IPv6 in brackets."""
    with tcp_pair(family) as (client, server):
        state = keptalive.read(client)
        host = "[::1]" if family == socket.AF_INET6 else "127.0.0.1"

        assert state.local == f"{host}:{client.getsockname()[1]}"
        assert state.remote == f"{host}:{server.getsockname()[1]}"


def test_multipath_tcp() -> None:
    """An MPTCP socket takes what its kernel lets it, and the rest is named."""
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    except OSError as error:
        missing(f"no MPTCP here: {error}")
    with sock:
        report = keptalive.apply(sock)

        assert report.after.enabled
        assert report.ok or report.problems


def test_sentences() -> None:
    """What a person reads."""
    with tcp_pair() as (client, _):
        assert str(keptalive.read(client)) == "off"
        assert str(keptalive.apply(client)).endswith(": on, idle 45 s, interval 15 s, count 9")
        assert "left alone" in str(keptalive.apply(client))
