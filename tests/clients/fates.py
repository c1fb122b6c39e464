"""Servers for the tests of what clients raise: one port for each fate that a request can meet.

Rule: a port does one thing to whoever asks, whatever is asked, so that clients with paths of their own need
none of ours; and it counts the requests that have met their fate.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

#: What a port does once it has read a request: keep silent, send an RST, or end with a FIN.
SILENCE, RESET, END = "silence", "reset", "end"
#: Does so when the head and the first bytes of a longer answer have gone out.
HALF = "-half"

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
_HALF_AN_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"half":'
_FOR_EVER = 3600.0


class Fates:
    """Ports on loopback; they end with the process."""

    def __init__(self, certificate: ssl.SSLContext) -> None:
        self.requests: Counter[int] = Counter()  # by port
        self._certificate = certificate
        self._loop = asyncio.new_event_loop()
        self._servers: list[Any] = []
        threading.Thread(target=self._loop.run_forever, name="fates", daemon=True).start()

    def open(self, fate: str, kind: str, *, tls: bool = False) -> int:
        """Return the number of a new port with this fate, for clients that speak *kind*."""
        if kind == "grpc":
            return self._open_grpc()
        opening = self._open_websocket(fate) if kind == "websocket" else self._open_http(fate, tls)
        return asyncio.run_coroutine_threadsafe(opening, self._loop).result(30)

    def full(self) -> int:
        """Return the number of a port that answers no attempt to connect."""
        listener, *_ = kept = full_listener()
        self._servers += kept
        return int(listener.getsockname()[1])

    def closed(self) -> int:
        """Return the number of a port where nobody listens, nor will: it is taken."""
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        self._servers.append(taken)
        return int(taken.getsockname()[1])

    async def _open_http(self, fate: str, tls: bool) -> int:
        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await _read_request(reader)
                if fate.endswith(HALF):
                    writer.write(_HALF_AN_ANSWER)
                    await writer.drain()
                self.requests[port] += 1
                await _meet(fate, writer.transport)

        server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=self._certificate if tls else None)
        self._servers.append(server)
        port = int(server.sockets[0].getsockname()[1])
        return port

    async def _open_websocket(self, fate: str) -> int:
        from websockets.asyncio.server import serve

        async def converse(connection: Any) -> None:
            await connection.recv()
            self.requests[port] += 1
            await _meet(fate, connection.transport)

        server = await serve(converse, "127.0.0.1", 0, ping_interval=None)
        self._servers.append(server)
        port = int(next(iter(server.sockets)).getsockname()[1])
        return port

    def _open_grpc(self) -> int:
        import grpc

        class Silent:
            @staticmethod
            def service(_: Any) -> Any:
                def answer(_request: Any, _context: Any) -> None:
                    self.requests[port] += 1
                    time.sleep(_FOR_EVER)

                return grpc.unary_unary_rpc_method_handler(answer)

        # Allows the pings that a held channel sends: by default a server ends a call at the third.
        options = [("grpc.http2.min_ping_interval_without_data_ms", 500)]
        server = grpc.server(ThreadPoolExecutor(9), options=options)
        server.add_generic_rpc_handlers((Silent(),))
        port = int(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        self._servers.append(server)
        return port


def full_listener() -> list[socket.socket]:
    """Return a listener whose queue is full, so that Linux drops attempts to connect; and what fills it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    return [listener, *fill(listener)]


def fill(listener: socket.socket) -> list[socket.socket]:
    """Fill the queue of a listener that has room for one; return what fills it."""
    waiting = [socket.socket() for _ in range(3)]
    for sock in waiting:
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
    select.select([], waiting[:1], [], 10)
    return waiting


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name == "content-length":
            await reader.readexactly(int(value))


async def _meet(fate: str, transport: Any) -> None:
    """Let a connection meet its fate, then keep it for ever."""
    sock = transport.get_extra_info("socket")
    what = fate.removesuffix(HALF)
    if what == RESET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    elif what == END:  # at the socket, beneath TLS, whose close_notify many servers do not send
        with socket.socket(fileno=socket.dup(sock.fileno())) as copy:
            copy.shutdown(socket.SHUT_WR)
    await asyncio.sleep(_FOR_EVER)
