"""websockets' connections, on asyncio and in threads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keptalive
from clients.servers import authority
from clients.world import LATER, POLICY

client = pytest.importorskip("websockets.asyncio.client")
server = pytest.importorskip("websockets.asyncio.server")
threaded = pytest.importorskip("websockets.sync.client")

# asyncio before 3.11 forgets to close a TLS transport whose connection was lost
pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport <asyncio.sslproto:ResourceWarning")


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


def serving(tls: bool) -> Any:
    # A thread of websockets reads session tickets while another writes, which before CPython 3.13 spoils one
    # TLS connection in 200, without keptalive as well.
    return server.serve(echo, "127.0.0.1", 0, ssl=authority().serving(tickets=0) if tls else None)


def address(made: Any, tls: bool) -> tuple[str, dict[str, Any]]:
    port = made.sockets[0].getsockname()[1]
    options = {"ssl": authority().client()} if tls else {}
    return f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/", options


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_asyncio(tls: bool) -> None:
    """A held connection has the policy and works on; the later policy wins."""

    async def main() -> None:
        async with serving(tls) as made:
            url, options = address(made, tls)
            async with client.connect(url, **options) as connection:
                assert [state.enabled for state in keptalive.read(connection)] == [False]
                assert keptalive.hold(connection, POLICY) is connection
                assert [state.idle for state in keptalive.read(connection)] == [POLICY.idle]
                keptalive.hold(connection, LATER)
                assert [state.idle for state in keptalive.read(connection)] == [LATER.idle]
                await connection.send("hello")
                assert await connection.recv() == "hello"

    asyncio.run(main())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_threads(tls: bool) -> None:
    """The same for the threading implementation."""

    def talk(url: str, options: dict[str, Any]) -> None:
        with threaded.connect(url, open_timeout=60, **options) as connection:
            assert [state.enabled for state in keptalive.read(connection)] == [False]
            keptalive.hold(connection, POLICY)
            assert [state.idle for state in keptalive.read(connection)] == [POLICY.idle]
            connection.send("hello")
            assert connection.recv() == "hello"

    async def main() -> None:
        async with serving(tls) as made:
            await asyncio.to_thread(talk, *address(made, tls))

    asyncio.run(main())


# before 13.1 connect() prepares a coroutine when it is made
@pytest.mark.filterwarnings("ignore:coroutine 'BaseEventLoop.create_connection' was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_reconnects_is_refused() -> None:
    """connect() makes new connections: each is to be held, and the message says so."""

    async def main() -> None:
        with pytest.raises(keptalive.Uncovered, match=r"hold\(\) each connection"):
            keptalive.hold(client.connect("ws://127.0.0.1:9/"), POLICY)

    asyncio.run(main())
