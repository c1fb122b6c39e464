"""asyncio's and uvloop's streams, transports and servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import keptalive
from clients.cut_short import SHORT
from clients.servers import Origin, authority, blackhole
from clients.world import LATER, POLICY, World, as_kernel, kernel, nodelay, unprotected

# What is held, of what open_connection() returns.
HANDLES: dict[str, Callable[[Any, Any], Any]] = {
    "writer": lambda reader, writer: writer,
    "reader": lambda reader, writer: reader,
    "both": lambda reader, writer: (reader, writer),
    "transport": lambda reader, writer: writer.transport,
    "socket": lambda reader, writer: writer.get_extra_info("socket"),
}


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    module = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")
    loop = module.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


async def opened(server: Origin) -> Any:
    return await asyncio.open_connection(
        server.host, server.port, ssl=authority().client() if server.tls else None
    )


async def closed(writer: Any) -> None:
    writer.transport.abort()  # a TLS server that waits would not answer a polite end
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("handle", HANDLES)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_connections(world: World, loop: Any, handle: str, tls: bool) -> None:
    """Whichever end of it is held, the connection's socket has the policy; without, it has none."""
    server = world.secure if tls else world.origin

    async def main() -> None:
        reader, writer = await opened(server)
        target = HANDLES[handle](reader, writer)
        delay = nodelay(writer.get_extra_info("socket"))
        assert unprotected(kernel(server))
        assert keptalive.hold(target, POLICY) is target
        assert kernel(server) == [as_kernel(POLICY)]
        keptalive.hold(target, LATER)
        assert kernel(server) == [as_kernel(LATER)]
        states = keptalive.read(target)
        assert (states if handle == "socket" else states[0]).idle == LATER.idle
        assert nodelay(writer.get_extra_info("socket")) == delay
        await closed(writer)

    loop.run_until_complete(main())


def test_the_idiom(world: World, loop: Any) -> None:
    """asyncio's own way: the socket under the transport, and apply()."""

    async def main() -> None:
        _, writer = await opened(world.origin)
        report = keptalive.apply(writer.get_extra_info("socket"), POLICY)
        assert report.ok
        assert kernel(world.origin) == [as_kernel(POLICY)]
        await closed(writer)

    loop.run_until_complete(main())


def test_server(loop: Any) -> None:
    """What a held server accepts inherits the policy."""

    async def main() -> None:
        accepted: asyncio.Future[Any] = loop.create_future()
        server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0)
        keptalive.hold(server, POLICY)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        theirs = await accepted
        assert [state.idle for state in keptalive.read(theirs)] == [POLICY.idle]
        assert [state.idle for state in keptalive.read(server)] == [POLICY.idle]
        await closed(writer)
        await closed(theirs)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_other_sockets(loop: Any, tmp_path: Path) -> None:
    """A Unix socket needs nothing; UDP and a closed connection are named."""

    async def main() -> None:
        with Origin(path=tmp_path / "socket"):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
            keptalive.hold(writer, POLICY)
            assert keptalive.read(writer) == []
            await closed(writer)
        datagrams, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, ("127.0.0.1", 0), family=socket.AF_INET
        )
        with pytest.raises(keptalive.Uncovered, match="only TCP"):
            keptalive.hold(datagrams, POLICY)
        datagrams.close()
        with pytest.raises(keptalive.Uncovered, match="no socket"):
            keptalive.hold(asyncio.StreamReader(), POLICY)
        await asyncio.sleep(0.01)

    loop.run_until_complete(main())


def test_strangers_stay_unknown() -> None:
    """A tuple without a writer, or an object that only looks like a stream, is not taken for one."""

    class Lookalike:
        sockets = ()

    for target in ((1, 2), "text", Lookalike()):
        with pytest.raises(keptalive.UnknownTarget, match=r"install\(\)"):
            keptalive.hold(target, POLICY)


@pytest.mark.filterwarnings(
    "ignore:unclosed transport <asyncio.sslproto:ResourceWarning"
)  # asyncio before 3.11
def test_a_killed_connection_is_no_end_of_file(world: World, loop: Any) -> None:
    """Reading to the end raises where the connection died, with TLS and without; a FIN is an end."""

    async def read(server: Origin, dies: bool) -> bytes:
        reader, writer = await opened(server)
        keptalive.hold(writer, SHORT)
        writer.write(b"GET /part/until-close HTTP/1.1\r\nHost: x\r\n\r\n")
        data: bytes = await reader.readuntil(b"\r\n\r\ndo")
        if dies:
            blackhole(writer.get_extra_info("socket"))
        try:
            return data + await reader.read()
        finally:
            await closed(writer)

    async def main() -> None:
        servers = (world.origin, world.secure)
        for outcome in await asyncio.gather(*(read(s, True) for s in servers), return_exceptions=True):
            assert isinstance(outcome, TimeoutError), repr(outcome)
        for server in servers:
            server.gate.set()
            assert (await read(server, False)).endswith(b"done")

    loop.run_until_complete(main())
