"""The slow server: an HTTP/1.1 server that answers as late as its URL says, in a process of its own.

Rule: it does what the path asks and nothing else; every fault is the lab's, none is the server's.

    /sleep/N             200 after N seconds, body "slept N"
    /close/N             the same with "Connection: close"
    /stream/N            head and half of the body at once, the rest after N seconds;
                         ?style=length|chunked|close says how the body is delimited,
                         &notify=no ends a TLS connection without close_notify
    /redirect/CODE       ?to=URL
    /fail-once/KEY/N     503 the first time, then as /sleep/N
    /drop-once/KEY/N     closes without an answer the first time, then as /sleep/N
    /count/KEY           how many requests came with ?key=KEY, by method, as JSON
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keptalive.errors import LabError
from keptalive.http_server import (
    LARGEST_HEAD,
    BadRequest,
    Request,
    head_of,
    number_of_seconds,
    read_request,
    respond,
)
from keptalive.lab.control import Owner
from keptalive.lab.listeners import listen

_LONGEST_SLEEP = 24 * 3600.0


async def main(owner: Owner) -> None:
    """Serve until the owner goes."""
    server = SlowServer()
    try:
        await owner.serve_async({"listen": server.listen, "tls": server.listen_tls, "count": server.count})
    finally:
        server.close()


class SlowServer:
    """Answers when its time has come."""

    def __init__(self) -> None:
        self.seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._spent: set[tuple[str, str]] = set()  # what happens once, and has
        self._tasks: set[asyncio.Task[Any]] = set()
        self._certificates: tempfile.TemporaryDirectory[str] | None = None

    def listen(self, hosts: Sequence[str], port: int, descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Listen on *port* (0: any free one) of each of *hosts*, inside the namespaces given, if any."""
        if descriptors:
            from keptalive.linux import namespaces

            network, *user = descriptors
            for descriptor in user:
                namespaces.enter(descriptor, namespaces.CLONE_NEWUSER)
            namespaces.enter(network, namespaces.CLONE_NEWNET)
        return {"port": self._listen(hosts, port, None)}

    def listen_tls(self, hosts: Sequence[str], port: int, names: Sequence[str]) -> dict[str, Any]:
        """Listen with TLS as well, with a certificate for *names* from a CA made for this lab."""
        try:
            import trustme
        except ImportError as error:
            raise LabError("TLS in the lab needs trustme: pip install trustme") from error
        self._certificates = tempfile.TemporaryDirectory(prefix="keptalive-lab-")
        authority = trustme.CA(organization_name="keptalive lab")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        ca_file = Path(self._certificates.name, "ca.pem")
        authority.cert_pem.write_to_path(str(ca_file))
        return {"port": self._listen(hosts, port, context), "ca_file": str(ca_file)}

    def count(self, key: str) -> dict[str, Any]:
        """Tell how many requests came with ?key=KEY, by method."""
        return {"count": self.seen[key]}

    def close(self) -> None:
        """Remove what was written to disk."""
        if self._certificates is not None:
            self._certificates.cleanup()

    def _listen(self, hosts: Sequence[str], port: int, context: ssl.SSLContext | None) -> int:
        listeners = listen(hosts, port)
        for listener in listeners:
            self._run(asyncio.start_server(self._converse, sock=listener, ssl=context, limit=LARGEST_HEAD))
        bound: int = listeners[0].getsockname()[1]
        return bound

    def _run(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, one after the other."""
        try:
            while (request := await read_request(reader, writer)) is not None:
                if not await self._answer(request, writer):
                    break
        except BadRequest as error:
            await respond(writer, 400, f"{error}\n", keep_alive=False)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away: what this server is there for
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False ends the connection."""
        if request.steps[0] != "count" and (key := request.query.get("key")) is not None:
            self.seen[key][request.method] += 1
        head = request.method == "HEAD"
        match request.steps:
            case ["sleep" | "close" as what, seconds]:
                return await self._sleep(request, seconds, writer, keep_alive=what == "sleep")
            case ["fail-once", key, seconds]:
                if self._first_time("fail-once", key):
                    await respond(writer, 503, "once\n", keep_alive=request.keep_alive, head=head)
                    return request.keep_alive
                return await self._sleep(request, seconds, writer)
            case ["drop-once", key, seconds]:
                if self._first_time("drop-once", key):
                    return False
                return await self._sleep(request, seconds, writer)
            case ["stream", seconds]:
                return await _stream(request, _seconds(seconds), writer)
            case ["redirect", "301" | "302" | "303" | "307" | "308" as code] if "to" in request.query:
                status, body, more = int(code), "", {"Location": request.query["to"]}
            case ["count", key]:
                status, body, more = 200, json.dumps(self.seen[key]) + "\n", {}
            case _:
                status, body, more = 404, "no such thing\n", {}
        await respond(writer, status, body, keep_alive=request.keep_alive, head=head, more=more)
        return request.keep_alive

    async def _sleep(
        self, request: Request, seconds: str, writer: asyncio.StreamWriter, *, keep_alive: bool = True
    ) -> bool:
        keep_alive = keep_alive and request.keep_alive
        await asyncio.sleep(_seconds(seconds))
        body, head = f"slept {seconds}\n", request.method == "HEAD"
        await respond(writer, 200, body, keep_alive=keep_alive, head=head)
        return keep_alive

    def _first_time(self, what: str, key: str) -> bool:
        first = (what, key) not in self._spent
        self._spent.add((what, key))
        return first


def _seconds(text: str) -> float:
    return number_of_seconds(text, _LONGEST_SLEEP)


async def _stream(request: Request, seconds: float, writer: asyncio.StreamWriter) -> bool:
    """Send the head and half of the body at once, the rest after a silence."""
    halves = (b"the first half\n", b"the second half\n")
    style = request.query.get("style", "length")
    headers: dict[str, object] = {"Content-Type": "text/plain"}
    if style == "length":
        headers["Content-Length"] = sum(map(len, halves))
    elif style == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        first, second = (b"%x\r\n%s\r\n" % (len(half), half) for half in halves)
        halves = first, second + b"0\r\n\r\n"
    elif style != "close":
        raise BadRequest("style is close, length or chunked")
    keep_alive = style != "close" and request.keep_alive
    writer.write(head_of(200, keep_alive, headers))
    if request.method != "HEAD":
        writer.write(halves[0])
        await writer.drain()
        await asyncio.sleep(seconds)
        writer.write(halves[1])
    await writer.drain()
    if not keep_alive and request.query.get("notify") == "no":
        # FIN at the socket, beneath TLS: the client sees the end of the stream without a close_notify.
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        writer.transport.abort()
    return keep_alive
