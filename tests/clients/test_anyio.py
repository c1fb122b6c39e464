"""anyio's streams and listeners, on asyncio, uvloop and trio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import keptalive
from clients.cut_short import SHORT
from clients.servers import Origin, authority, blackhole
from clients.world import LATER, POLICY, World, as_kernel, kernel, unprotected

anyio = pytest.importorskip("anyio")
abc = pytest.importorskip("anyio.abc")


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], None]:
    """Run a coroutine function on one of the backends."""
    if request.param != "asyncio":
        pytest.importorskip(request.param)
    options = (
        {"backend": "trio"}
        if request.param == "trio"
        else {"backend_options": {"use_uvloop": request.param == "uvloop"}}
    )
    return lambda main: anyio.run(main, **options)


async def opened(server: Origin) -> Any:
    """Return a stream to a server; over TLS one that takes a bare FIN for an end, as HTTP clients do."""
    if server.tls:
        return await anyio.connect_tcp(
            server.host, server.port, ssl_context=authority().client(), tls_standard_compatible=False
        )
    return await anyio.connect_tcp(server.host, server.port)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_streams(world: World, run: Any, tls: bool) -> None:
    """A held stream's socket has the policy, TLS or not; without, it has none."""
    server = world.secure if tls else world.origin

    async def main() -> None:
        async with await opened(server) as stream:
            assert unprotected(kernel(server))
            assert keptalive.hold(stream, POLICY) is stream
            assert kernel(server) == [as_kernel(POLICY)]
            keptalive.hold(stream, LATER)
            assert [state.idle for state in keptalive.read(stream)] == [LATER.idle]

    run(main)


def test_listener(run: Any) -> None:
    """What a held listener accepts inherits the policy."""

    async def main() -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            keptalive.hold(listener, POLICY)
            assert [state.idle for state in keptalive.read(listener)] == [POLICY.idle]
            port = listener.extra(abc.SocketAttribute.local_port)

            async def handle(stream: Any) -> None:
                async with stream:
                    assert [state.idle for state in keptalive.read(stream)] == [POLICY.idle]

            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, handle)
                async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                    with pytest.raises(anyio.EndOfStream):
                        await stream.receive()
                group.cancel_scope.cancel()

    run(main)


def test_memory_streams_need_nothing(run: Any) -> None:
    """A stream without a socket is fine."""

    async def main() -> None:
        sender, receiver = anyio.create_memory_object_stream(1)
        async with sender, receiver:
            assert keptalive.read(keptalive.hold(sender, POLICY)) == []

    run(main)


def test_a_killed_connection_is_no_end_of_file(world: World, run: Any) -> None:
    """Reading to the end raises where the connection died, with TLS and without; a FIN is an end."""

    async def read(server: Origin, dies: bool) -> bytes:
        async with await opened(server) as stream:
            keptalive.hold(stream, SHORT)
            await stream.send(b"GET /part/until-close HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b""
            while b"\r\n\r\ndo" not in data:
                data += await stream.receive()
            if dies:
                blackhole(stream.extra(abc.SocketAttribute.raw_socket))
            try:
                while True:
                    data += await stream.receive()
            except anyio.EndOfStream:
                return data

    async def main() -> None:
        servers = (world.origin, world.secure)
        async with anyio.create_task_group() as group:

            async def raises(server: Origin) -> None:
                with pytest.raises(anyio.BrokenResourceError):
                    await read(server, True)

            for server in servers:
                group.start_soon(raises, server)
        for server in servers:
            server.gate.set()
            assert (await read(server, False)).endswith(b"done")

    run(main)
