"""uvloop under install(): connections that libuv opens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import keptalive
from clients.servers import Origin, authority
from keptalive import Policy
from support import tcp_pair
from test_sockets import kernel_holds

uvloop = pytest.importorskip("uvloop")

STRICT = Policy(20, 10, 3)


@pytest.fixture(scope="module", autouse=True)
def _made_once() -> None:
    uvloop.new_event_loop().close()  # libuv's pipe for signals is made once and kept


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine function on a uvloop of its own."""
    loop = uvloop.new_event_loop()
    try:
        loop.set_debug(True)
        return loop.run_until_complete(main())
    finally:
        loop.close()


def opened(origin: Origin, *settings: tuple[int, int], **options: Any) -> tuple[Any, ...]:
    """Open a connection, set options as a program would, return what the kernel holds."""

    async def main() -> tuple[Any, ...]:
        _, writer = await asyncio.open_connection(origin.host, origin.port, **options)
        sock = writer.get_extra_info("socket")
        for option in settings:
            sock.setsockopt(socket.IPPROTO_TCP, *option)
        try:
            return kernel_holds(sock)
        finally:
            writer.close()
            await writer.wait_closed()

    held: tuple[Any, ...] = run(main)
    return held


def test_plain_and_tls_connections() -> None:
    """Protected when open_connection() returns; the control is not."""
    context = authority().client()
    with Origin() as origin, Origin(tls=True) as secure:
        control = opened(origin)
        keptalive.install(STRICT)

        assert control[0] is False
        assert opened(origin) == (True, 20, 10, 3)
        assert opened(secure, ssl=context, server_hostname="localhost") == (True, 20, 10, 3)


def test_a_later_setting_is_judged() -> None:
    """Through the transport's socket, which lives for one call only: better stays, worse does not."""
    keptalive.install()
    with Origin() as origin:
        idle, interval, count = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
        worse = opened(origin, (interval, 60), (count, 5), (idle, 60))
        better = opened(origin, (idle, 30), (interval, 10), (count, 5))

    assert worse == (True, 45, 15, 9)
    assert better == (True, 30, 10, 5)


def test_a_socket_of_the_programs_own_keeps_what_it_has() -> None:
    """`sock=` was connected elsewhere, or accepted: opening it was not uvloop's doing."""
    with tcp_pair() as (_, accepted):
        keptalive.install(STRICT)

        async def main() -> tuple[Any, ...]:
            accepted.setblocking(False)
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=accepted)
            held = kernel_holds(accepted)
            transport.close()
            await asyncio.sleep(0)
            return held

        assert run(main)[0] is False


def test_only_where_meant() -> None:
    """The peer decides, once it is known."""
    with Origin() as origin:
        keptalive.install(STRICT, networks="10.0.0.0/8")
        outside = opened(origin)
        keptalive.install(STRICT, networks="127.0.0.0/8", ports=origin.port)
        inside = opened(origin)

    assert outside[0] is False
    assert inside == (True, 20, 10, 3)


def test_errors_are_the_same() -> None:
    """A refused connection is the exception that it was."""

    async def main() -> str:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            try:
                await asyncio.open_connection(*other.getsockname())
            except OSError as error:
                return f"{type(error).__name__} {error.errno} {str(error).partition('(')[0]}"
        return "connected"

    plain = run(main)
    keptalive.install()

    assert run(main) == plain
    assert asyncio.iscoroutinefunction(uvloop.Loop.create_connection)
