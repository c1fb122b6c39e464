"""trio's sockets, streams and listeners."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import keptalive
from clients.cut_short import SHORT
from clients.servers import Origin, authority, blackhole
from clients.world import LATER, POLICY, World, as_kernel, kernel, unprotected

trio = pytest.importorskip("trio")


async def opened(server: Origin) -> Any:
    """Return a stream to a server; over TLS one that takes a bare FIN for an end, as HTTP clients do."""
    if server.tls:
        return await trio.open_ssl_over_tcp_stream(
            server.host, server.port, ssl_context=authority().client(), https_compatible=True
        )
    return await trio.open_tcp_stream(server.host, server.port)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_streams(world: World, tls: bool) -> None:
    """A held stream's socket has the policy, TLS or not; without, it has none."""
    server = world.secure if tls else world.origin

    async def main() -> None:
        async with await opened(server) as stream:
            assert unprotected(kernel(server))
            assert keptalive.hold(stream, POLICY) is stream
            assert kernel(server) == [as_kernel(POLICY)]
            keptalive.hold(stream, LATER)
            assert [state.idle for state in keptalive.read(stream)] == [LATER.idle]

    trio.run(main)


def test_sockets_and_listeners(world: World) -> None:
    """A trio socket can be held before it connects; what a held listener accepts inherits the policy."""

    async def main() -> None:
        with trio.socket.socket() as sock:
            keptalive.hold(sock, POLICY)
            await sock.connect((world.origin.host, world.origin.port))
            assert kernel(world.origin) == [as_kernel(POLICY)]
            assert keptalive.read(sock).idle == POLICY.idle

        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            keptalive.hold(listener, POLICY)
            address = listener.socket.getsockname()
            async with await trio.open_tcp_stream(*address), await listener.accept() as accepted:
                assert [state.idle for state in keptalive.read(accepted)] == [POLICY.idle]

    trio.run(main)


def test_without_tcp() -> None:
    """A Unix socket needs nothing, nor does TLS over memory; UDP is named."""

    async def main() -> None:
        ours, theirs = trio.socket.socketpair()
        with ours, theirs:
            stream = trio.SocketStream(ours)
            assert keptalive.read(keptalive.hold(stream, POLICY)) == []
        memory, _ = trio.testing.memory_stream_pair()
        over_memory = trio.SSLStream(memory, authority().client(), server_hostname="x")
        assert keptalive.read(keptalive.hold(over_memory, POLICY)) == []
        datagrams = trio.socket.socket(type=socket.SOCK_DGRAM)
        with datagrams, pytest.raises(keptalive.Uncovered, match="only TCP"):
            keptalive.hold(datagrams, POLICY)

    pytest.importorskip("trio.testing")
    trio.run(main)


def test_a_killed_connection_is_no_end_of_file(world: World) -> None:
    """Reading to the end raises where the connection died, with TLS and without; a FIN is an end."""

    async def read(server: Origin, dies: bool) -> bytes:
        async with await opened(server) as stream:
            keptalive.hold(stream, SHORT)
            await stream.send_all(b"GET /part/until-close HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b""
            while b"\r\n\r\ndo" not in data:
                data += await stream.receive_some()
            if dies:
                blackhole(getattr(stream, "transport_stream", stream).socket)
            while more := await stream.receive_some():
                data += more
            return data

    async def main() -> None:
        servers = (world.origin, world.secure)
        async with trio.open_nursery() as nursery:

            async def raises(server: Origin) -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await read(server, True)

            for server in servers:
                nursery.start_soon(raises, server)
        for server in servers:
            server.gate.set()
            assert (await read(server, False)).endswith(b"done")

    trio.run(main)
