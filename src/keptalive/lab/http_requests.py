"""How many whole HTTP/1 requests a client has sent, by its bytes alone.

Rule: pure, and no judge. Whatever comes is taken, in pieces of any size; what is no HTTP/1 (TLS, HTTP/2, a
WebSocket after its handshake) is never a whole request. Memory is bounded by the largest head.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from keptalive.http_server import LARGEST_HEAD

_FIRST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) +[^ ]+ +HTTP/1\.[0-9]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class _NoHttp(Exception):
    """The client speaks something else."""


class Requests:
    """Follows what one client sends over one connection."""

    def __init__(self) -> None:
        self.whole = 0  # requests so far, each to the end of its body
        self._held = bytearray()
        self._steps: Generator[None, None, None] | None = self._follow()
        next(self._steps)

    def feed(self, data: bytes | memoryview) -> None:
        """Take what came next."""
        if self._steps is None:
            return
        self._held += data
        try:
            self._steps.send(None)
        except _NoHttp:
            self._steps = None
            self._held.clear()

    def _follow(self) -> Generator[None, None, None]:
        """Yield whenever more is needed."""
        yield
        while True:
            first, headers = yield from self._head()
            if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
                while size := (yield from self._chunk_size()):
                    yield from self._skip(size + len(b"\r\n"))
                while (yield from self._line(LARGEST_HEAD)):
                    pass  # trailers
            elif (length := headers.get(b"content-length")) is not None:
                if not _LENGTH.fullmatch(length):
                    raise _NoHttp
                yield from self._skip(int(length))
            self.whole += 1
            if first.startswith(b"CONNECT "):
                raise _NoHttp  # what follows is for the other end of the tunnel

    def _head(self) -> Generator[None, None, tuple[bytes, dict[bytes, bytes]]]:
        left = LARGEST_HEAD
        first = b""
        while not first:  # an empty line or two before a request are to be ignored (RFC 9112, 2.2)
            first = yield from self._line(left)
            left -= len(first) + 1
        if not _FIRST_LINE.fullmatch(first):
            raise _NoHttp
        headers = {}
        while line := (yield from self._line(left)):
            left -= len(line) + 1
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        return first, headers

    def _chunk_size(self) -> Generator[None, None, int]:
        line = yield from self._line(LARGEST_HEAD)
        digits = line.partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(digits):
            raise _NoHttp
        return int(digits, 16)

    def _line(self, most: int) -> Generator[None, None, bytes]:
        """Return the next line without its end, which may be a bare LF (RFC 9112, 2.2)."""
        looked = 0
        while (end := self._held.find(b"\n", looked)) < 0:
            looked = len(self._held)
            if looked > most:
                raise _NoHttp
            yield
        line = bytes(self._held[:end]).removesuffix(b"\r")
        del self._held[: end + 1]
        if len(line) > most:
            raise _NoHttp
        return line

    def _skip(self, size: int) -> Generator[None, None, None]:
        while size > len(self._held):
            size -= len(self._held)
            self._held.clear()
            yield
        del self._held[:size]
