"""`keptalive serve`: the far end of a path that you own, to measure against.

Rule: it lets connections be idle, and never speaks first: no keepalive probe of its own, no time-out of its
own below the hours that a connection may live at all. What a stranger may cost it is capped.

    nothing          a connection may be silent as long as it likes
    GET /sleep/N     200 after N seconds, body "slept N": a slow endpoint
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass

from keptalive.errors import BadInput, NotPermitted
from keptalive.http_server import LARGEST_HEAD, BadRequest, Request, number_of_seconds, read_request, respond
from keptalive.sockets import format_address

_USAGE = "keptalive serve: GET /sleep/N is answered after N seconds; a silent connection is left in peace.\n"

_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s (socket(7))
_FAREWELL = 5.0  # s for what was written to arrive


@dataclass(frozen=True)
class Limits:
    """What a stranger may cost.

    sleep: 3600 s, the longest answer: the slowest boxes that are common forget after an hour.
    connections: 200 at a time, four measurements; who comes later is reset at once.
    life: 4 h for a connection at most. A path that forgot one cannot tell us, so nothing else would end it.
    """

    sleep: float = 3600.0
    connections: int = 200
    life: float = 4 * 3600.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises BadInput."""
        for name, value in vars(self).items():
            if not value > 0:
                raise BadInput(f"{name} must be more than 0, not {value:g}")


class Endpoint:
    """An idle listener and slow endpoint. Start it inside an event loop, and close it there."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Prepare; nothing listens yet."""
        self.limits = limits or Limits()
        self.served = 0  # connections so far
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> list[str]:
        """Listen; return the addresses, as "ADDR:PORT". Raises BadInput or NotPermitted."""
        if not 0 <= port < 65536:
            raise BadInput(f"cannot listen at {host}:{port}: a port is a number from 0 to 65535")
        try:
            self._server = await asyncio.start_server(self._welcome, host, port, limit=LARGEST_HEAD)
        except PermissionError as error:
            raise NotPermitted(f"this user may not listen at {host}:{port}") from error
        except OSError as error:
            raise BadInput(f"cannot listen at {host}:{port}: {_reason(error)}") from error
        return [format_address(sock.getsockname()) or "" for sock in self._server.sockets]

    async def close(self) -> None:
        """Stop listening, and reset every connection."""
        if self._server is not None:
            self._server.close()
        for writer in self._open.values():
            _reset(writer)
        await asyncio.gather(*self._open)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self.limits.connections:
            _reset(writer)
            return
        self.served += 1
        task = asyncio.ensure_future(self._converse(reader, writer))
        end = asyncio.get_running_loop().call_later(self.limits.life, _reset, writer)
        self._open[task] = writer
        task.add_done_callback(self._open.pop)
        task.add_done_callback(lambda _: end.cancel())

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, one after the other, until either side has enough."""
        gone = asyncio.ensure_future(writer.wait_closed())
        try:
            while (request := await read_request(reader, writer)) is not None:
                if not await self._answer(request, writer, gone):
                    break
        except BadRequest as error:
            await respond(writer, 400, f"{error}\n", keep_alive=False)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()
            await asyncio.wait([gone], timeout=_FAREWELL)
            if gone.done() and not gone.cancelled():
                gone.exception()  # an RST instead of a FIN is as good an end
            gone.cancel()

    async def _answer(
        self, request: Request, writer: asyncio.StreamWriter, gone: asyncio.Future[None]
    ) -> bool:
        """Answer one request; False if it was the last."""
        head = request.method == "HEAD"
        match request.steps:
            case ["sleep", seconds]:
                wait = number_of_seconds(seconds, self.limits.sleep)
                await asyncio.wait([gone], timeout=wait)  # nobody sleeps for a client that has left
                status, body = 200, f"slept {seconds}\n"
            case [""]:
                status, body = 200, _USAGE
            case _:
                status, body = 404, _USAGE
        if gone.done():
            return False
        await respond(writer, status, body, keep_alive=request.keep_alive, head=head)
        return request.keep_alive


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by an RST: a FIN would be repeated for minutes where the path has forgotten it."""
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        writer.transport.abort()


def _reason(error: OSError) -> str:
    """Return what the system calls it: asyncio puts words of its own into the error."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)
