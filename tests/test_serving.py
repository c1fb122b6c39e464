"""The far end of a path: it waits as long as one likes, never speaks first, and costs no more than it may."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from keptalive.errors import BadInput
from keptalive.serving import Endpoint, Limits
from keptalive.sockets import read_socket

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def serving(test: Callable[[str, int, Endpoint], Awaitable[None]], limits: Limits | None = None) -> None:
    """Run a test against an endpoint on loopback."""

    async def run() -> None:
        endpoint = Endpoint(limits)
        (address,) = await endpoint.start("127.0.0.1", 0)
        host, _, port = address.rpartition(":")
        try:
            await asyncio.wait_for(test(host, int(port), endpoint), 20)
        finally:
            await endpoint.close()

    asyncio.run(run())


async def get(reader: Reader, writer: Writer, path: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    return head + await reader.readexactly(length)


def test_a_slow_endpoint() -> None:
    """It answers after the seconds asked for, and the connection goes on."""

    async def test(host: str, port: int, endpoint: Endpoint) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await get(reader, writer, "/sleep/0.3")
        assert loop.time() - began >= 0.3
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"slept 0.3\n")
        writer.write(b"\r\n\r\n")  # what a question by data leaves
        assert b"keptalive serve" in await get(reader, writer, "/")
        assert (await get(reader, writer, "/nothing")).startswith(b"HTTP/1.1 404 ")
        writer.close()

    serving(test)


@pytest.mark.parametrize("path", ["/sleep/11", "/sleep/-1", "/sleep/nan", "/sleep/x"])
def test_no_longer_than_allowed(path: str) -> None:
    """A number outside the limits is answered with 400."""

    async def test(host: str, port: int, endpoint: Endpoint) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        assert (await get(reader, writer, path)).startswith(b"HTTP/1.1 400 ")
        assert await reader.read() == b""
        writer.close()

    serving(test, Limits(sleep=10))


def test_it_never_speaks_first() -> None:
    """No byte, no FIN, and no keepalive of its own: that would keep the path open."""

    async def test(host: str, port: int, endpoint: Endpoint) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(1), 1.0)
        (theirs,) = endpoint._open.values()
        assert read_socket(theirs.get_extra_info("socket")).enabled is False
        writer.close()

    serving(test)


def test_so_many_and_no_more() -> None:
    """Who comes too late is reset; when one leaves there is room again."""

    async def test(host: str, port: int, endpoint: Endpoint) -> None:
        first = [await asyncio.open_connection(host, port) for _ in range(2)]
        for reader, writer in first:
            await get(reader, writer, "/")
        late, writer = await asyncio.open_connection(host, port)
        with pytest.raises(ConnectionResetError):
            await late.read()
        writer.close()
        first[0][1].close()
        while len(endpoint._open) == 2:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(host, port)
        assert (await get(reader, writer, "/")).startswith(b"HTTP/1.1 200 ")
        for each in (writer, first[1][1]):
            each.close()

    serving(test, Limits(connections=2))


def test_a_life_has_an_end() -> None:
    """A path that forgot a connection cannot tell: it is reset when its time is over."""

    async def test(host: str, port: int, endpoint: Endpoint) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert endpoint.served == 1

    serving(test, Limits(life=0.5))


def test_nobody_sleeps_for_a_client_that_left() -> None:
    """Its place is free at once."""

    async def test(host: str, port: int, endpoint: Endpoint) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /sleep/3000 HTTP/1.1\r\n\r\n")
        while not endpoint._open:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()
        while endpoint._open:
            await asyncio.sleep(0.01)

    serving(test)


def test_closing_resets_who_is_there() -> None:
    """Idle and sleeping connections alike."""

    async def test(host: str, port: int, endpoint: Endpoint) -> None:
        pairs = [await asyncio.open_connection(host, port) for _ in range(3)]
        pairs[0][1].write(b"GET /sleep/3000 HTTP/1.1\r\n\r\n")
        while len(endpoint._open) < 3:
            await asyncio.sleep(0.01)
        await endpoint.close()
        for reader, writer in pairs:
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    serving(test)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("nothing.invalid", 0), ("127.0.0.1", 99999)])
def test_nowhere_to_listen(host: str, port: int) -> None:
    """One sentence."""
    with pytest.raises(BadInput, match="cannot listen at"):
        asyncio.run(Endpoint().start(host, port))


@pytest.mark.parametrize("wrong", [{"sleep": 0}, {"connections": -1}, {"life": 0}])
def test_limits_that_make_no_sense(wrong: dict[str, float]) -> None:
    """Refused."""
    with pytest.raises(BadInput):
        Limits(**wrong)  # type: ignore[arg-type]
