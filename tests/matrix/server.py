"""The far side of the matrix: origins that follow a script, and proxies before them.

Rule: a port does one thing, and what it does was asked for beforehand, so that a request needs no
special path (SDKs choose their own) and what arrived can be told cell by cell. Runs as a program on
the server's side of the firewall:

    server.py ADDRESS CERTIFICATE SECONDS        prints the control port when it is ready

The control port takes one JSON object a line and answers with one:

    {"do": "open", "kind": "http", "tls": false, "script": ["fast", "slow"]}  ->  {"port": 40001}
    {"do": "report", "ports": [40001]}                                        ->  {"40001": {"requests": 2}}
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import signal
import socket
import ssl
import sys
import termios
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from matrix import databases

#: One answer that every client takes for its own: text, a chat completion, a message, a list of tables.
ANSWER = json.dumps(
    {
        "id": "answer-1",
        "object": "chat.completion",
        "created": 1,
        "model": "slow-1",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "slept"}}
        ],
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "slept"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
        "TableNames": ["slept"],
        "padding": "." * 3000,  # so that half an answer is a good piece of it
        "end": "slept",
    }
)


@dataclass
class Port:
    """What one port is to do, and what it saw."""

    kind: str
    script: list[str]
    location: str = ""  # where "redirect" sends the client
    answer: str = ANSWER
    headers: str = "Content-Type: application/json"
    connections: int = 0
    requests: int = 0
    methods: list[str] = field(default_factory=list)
    asked_at: float = 0.0
    halves: int = 0  # answers of which half is on its way and the rest withheld

    def next_act(self, method: str) -> str:
        """Count a request and return what the script has for it; the last act goes on for ever."""
        act = self.script[min(self.requests, len(self.script) - 1)]
        self.requests += 1
        self.methods.append(method)
        self.asked_at = time.monotonic()
        return act


class Server:
    """All ports of one run."""

    def __init__(self, address: str, certificate: str, delay: float) -> None:
        self.address = address
        self.delay = delay
        self.folder = Path(certificate).parent
        self._starting = asyncio.Lock()
        self._database: databases.Postgres | None = None
        self.tls, self.tls_without_tickets = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
        for context in (self.tls, self.tls_without_tickets):
            context.load_cert_chain(certificate)
        self.tls_without_tickets.num_tickets = 0
        self.ports: dict[int, Port] = {}
        self._lasting: list[Any] = []  # servers and tasks that the loop alone would not keep

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one control connection."""
        with contextlib.closing(writer):
            while line := await reader.readline():
                request = json.loads(line)
                reply = await getattr(self, "do_" + request.pop("do"))(**request)
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()

    async def do_report(self, ports: list[int]) -> dict[str, Any]:
        """Return what each port saw."""
        now = time.monotonic()
        found = {port: self.ports[port] for port in ports}
        return {str(number): asdict(port) | {"waited": now - port.asked_at} for number, port in found.items()}

    async def do_open(
        self,
        kind: str,
        tls: bool = False,
        script: list[str] | None = None,
        location: str = "",
        refuse_for: float = 0,
        answer: str = ANSWER,
        headers: str = "Content-Type: application/json",
    ) -> dict[str, int]:
        """Open a port; for *refuse_for* seconds it refuses connections first."""
        port = Port(kind, script or ["pass"], location, answer, headers)
        sock = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
        sock.bind((self.address, 0))
        number = sock.getsockname()[1]
        self.ports[number] = port
        opening = asyncio.ensure_future(self._listen(sock, port, self.tls if tls else None, refuse_for))
        self._lasting.append(opening)
        if not refuse_for:
            await opening
        return {"port": number}

    async def _listen(
        self, sock: socket.socket, port: Port, tls: ssl.SSLContext | None, refuse_for: float
    ) -> None:
        await asyncio.sleep(refuse_for)
        if port.kind == "websocket":
            from websockets.asyncio.server import serve

            # No pings: they would keep the path open for the client that is to lose it. No session tickets:
            # the sync client's thread would read them while it writes, which before CPython 3.13 spoils one
            # TLS connection in 200, held or plain.
            self._lasting.append(
                await serve(
                    lambda connection: self._websocket(connection, port),
                    sock=sock,
                    ssl=tls and self.tls_without_tickets,
                    ping_interval=None,
                )
            )
            return
        if port.kind == "grpc":  # it opens its sockets itself
            number = sock.getsockname()[1]
            sock.close()
            self._lasting.append(await databases.grpc(self.address, number, lambda: self._late(port, "CALL")))
            return
        speak = {
            "http": self._http,
            "proxy": self._proxy,
            "socks": self._socks,
            "redis": self._redis,
            "postgres": self._postgres,
        }[port.kind]

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            port.connections += 1
            with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await speak(port, reader, writer)

        self._lasting.append(await asyncio.start_server(connected, sock=sock, ssl=tls))

    async def _websocket(self, connection: Any, port: Port) -> None:
        port.connections += 1
        async for _ in connection:
            await asyncio.sleep({"fast": 0, "never": 3600}.get(port.next_act("MESSAGE"), self.delay))
            await connection.send(ANSWER)

    async def _redis(self, port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await databases.redis(reader, writer, lambda: self._late(port, "BLPOP"))

    async def _postgres(self, port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry everything to a PostgreSQL server, which is started when it is first asked for."""
        port.next_act("SESSION")
        async with self._starting:
            if self._database is None:
                self._database = await databases.start_postgres(self.address, self.folder)
        await _join((reader, writer), await asyncio.open_connection(*self._database.where))

    async def end(self) -> None:
        """End what was started."""
        if self._database is not None:
            await self._database.end()

    async def _late(self, port: Port, method: str) -> str:
        """Return the answer when it is time for it."""
        if port.next_act(method) == "slow":
            await asyncio.sleep(self.delay)
        return port.answer

    async def _http(self, port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            method, target, headers = head
            await _body(reader, headers)
            act = port.next_act(method)
            if act == "drop":
                return
            if act == "never":
                await asyncio.sleep(3600)
            if act == "slow":
                await asyncio.sleep(self.delay)
            if act.startswith(("half-", "whole-")):
                await self._in_two_parts(port, writer, *act.split("-"))
                return
            if act.startswith("trickle-"):
                await self._trickle(writer, act.partition("-")[2])
                return
            path = urlsplit(target)._replace(scheme="", netloc="").geturl()
            status, extra = {
                "fail": ("503 Not Yet", "Connection: close\r\nRetry-After: 0\r\n"),
                "redirect": ("307 Elsewhere", f"Location: {port.location}{path}\r\n"),
                "close": ("200 OK", "Connection: close\r\n"),
            }.get(act, ("200 OK", ""))
            writer.write(
                f"HTTP/1.1 {status}\r\n{port.headers}\r\nContent-Length: {len(port.answer)}\r\n{extra}\r\n"
                f"{'' if method == 'HEAD' else port.answer}".encode("latin-1")
            )
            await writer.drain()
            if "close" in extra:
                return

    async def _in_two_parts(
        self, port: Port, writer: asyncio.StreamWriter, part: str, delimiter: str
    ) -> None:
        """Send the head and half of the body; the rest ("whole") or nothing more, for ever ("half")."""
        middle = len(ANSWER) // 2
        head, *halves = _in_pieces([ANSWER[:middle], ANSWER[middle:]], delimiter)
        writer.write(head)
        writer.write(halves[0])
        await _arrived(writer)
        port.halves += 1
        await asyncio.sleep(0.5 if part == "whole" else 3600)
        writer.write(halves[1])
        await writer.drain()
        if delimiter == "close":
            _end_without_goodbye(writer)

    async def _trickle(self, writer: asyncio.StreamWriter, delimiter: str) -> None:
        """Send the head and a piece of the body at once, then a piece a second until all are sent."""
        pieces = max(2, round(self.delay) + 1)
        size = -(-len(ANSWER) // pieces)
        parts = [ANSWER[at : at + size] for at in range(0, len(ANSWER), size)]
        head, first, *others = _in_pieces(parts, delimiter)
        writer.write(head + first)
        for piece in others:
            await asyncio.sleep(self.delay / len(others))
            writer.write(piece)
            await writer.drain()
        if delimiter == "close":
            _end_without_goodbye(writer)

    async def _proxy(self, port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward to the host in an absolute URL, or make a tunnel for CONNECT."""
        lines = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = lines.decode("latin-1").split(" ", 2)
        port.next_act(method)
        if method == "CONNECT":
            host, _, number = target.rpartition(":")
        else:
            host, number = urlsplit(target).hostname or "", str(urlsplit(target).port)
        onward = await asyncio.open_connection(host.strip("[]"), int(number))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            onward[1].write(lines)  # an origin takes the absolute form as well (RFC 9112, 3.2.2)
        await _join((reader, writer), onward)

    async def _socks(self, port: Port, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak SOCKS 5 without authentication (RFC 1928), the CONNECT command only."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:  # a name
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            packed = await reader.readexactly(4 if kind == 1 else 16)
            host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, packed)
        number = int.from_bytes(await reader.readexactly(2), "big")
        port.next_act("SOCKS")
        onward = await asyncio.open_connection(host, number)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _join((reader, writer), onward)


def _in_pieces(parts: list[str], delimiter: str) -> list[bytes]:
    """Return the head of an answer whose body is delimited so, and its body's pieces as they are sent."""
    header = {
        "close": "Connection: close",
        "goodbye": "Connection: close",
        "length": f"Content-Length: {sum(map(len, parts))}",
        "chunked": "Transfer-Encoding: chunked",
    }[delimiter]
    pieces = [part.encode() for part in parts]
    if delimiter == "chunked":
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
        pieces[-1] += b"0\r\n\r\n"
    return [f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{header}\r\n\r\n".encode(), *pieces]


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    """Read a request's head; None if the client has gone."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return method, target, headers


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
    """Read a request's body away."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(headers.get("content-length", 0)))


async def _join(one: Streams, other: Streams) -> None:
    """Carry bytes both ways until one side has no more."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    ways = [
        asyncio.ensure_future(carry(one[0], other[1])),
        asyncio.ensure_future(carry(other[0], one[1])),
    ]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    other[1].close()


async def _arrived(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side's kernel has everything: a path must not die before it did its part."""
    await writer.drain()
    raw = writer.get_extra_info("socket")
    unacknowledged = bytearray(4)
    while not fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, unacknowledged) and any(unacknowledged):
        await asyncio.sleep(0.01)


def _end_without_goodbye(writer: asyncio.StreamWriter) -> None:
    """Send FIN, under TLS without close_notify, as many servers do: an end, though not a polite one."""
    raw = writer.get_extra_info("socket")
    with socket.socket(fileno=socket.dup(raw.fileno())) as copy:
        copy.shutdown(socket.SHUT_WR)


async def main(address: str, certificate: str, delay: str) -> None:
    server = Server(address, certificate, float(delay))
    control = await asyncio.start_server(server.control, address, 0)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(control.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    await server.end()
    os._exit(0)  # with whatever still goes on


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the usual 1024 are too few
    asyncio.run(main(*sys.argv[1:]))
