"""One HTTP/1.1 response, read from bytes as they come.

Rule: sans I/O; bytes in, state out. Whatever the network sends, it either makes a response of it, waits for
more, or raises NotHttp; it never holds more than a head's worth of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_LARGEST_HEAD = 64 * 1024
_LONGEST_LINE = 4 * 1024  # of a chunk's size, with extensions that nobody uses
_MOST_INTERIM = 100  # responses of 1xx before the final one
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_BODILESS = (101, 204, 304)


class NotHttp(ValueError):
    """What came is no HTTP/1.1 response."""


class Response:
    """A response, and how much of it is there. The body goes to *sink* piece by piece."""

    def __init__(self, method: str, sink: Callable[[bytes], None] | None = None) -> None:
        self.status: int | None = None  # of the final response
        self.headers: dict[str, str] = {}  # by lower-case name; the last, where one is repeated
        self.done = False
        self.received = 0  # bytes of the body
        self.rest = b""  # what came behind the end, with it
        self._method, self._sink = method, sink
        self._buffer = bytearray()
        self._interim = 0
        self._left = 0  # bytes of the body, or of a chunk with its line end, still to come
        self._read: Callable[[], bool] = self._read_head  # False: it needs more bytes

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises NotHttp."""
        self._buffer += data
        while not self.done and self._buffer and self._read():
            pass
        if self.done and self._buffer:
            self.rest = bytes(self._buffer)
            self._buffer.clear()

    def end(self) -> None:
        """The connection has ended: so does a body that only the end delimits."""
        if self._read == self._read_all:
            self.done = True

    # -- each returns whether there is reason to go on ----------------------------------------------------

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        bare = self._buffer.find(b"\n\n")  # RFC 9112, 2.2: a single LF may be taken for a line's end
        size = 4
        if bare >= 0 and (end < 0 or bare < end):
            end, size = bare, 2
        if not b"HTTP/1.".startswith(bytes(self._buffer[:7])):
            raise NotHttp(f"it begins with {_shown(self._buffer[:8])}")
        if end < 0:
            if len(self._buffer) > _LARGEST_HEAD:
                raise NotHttp(f"its head is longer than {_LARGEST_HEAD} bytes")
            return False
        lines = [line.rstrip(b"\r") for line in bytes(self._buffer[:end]).split(b"\n")]
        del self._buffer[: end + size]
        match = _STATUS.fullmatch(lines[0])
        if match is None:
            raise NotHttp(f"its first line begins with {_shown(lines[0][:20])}")
        status = int(match[1])
        if 100 <= status < 200 and status != 101:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise NotHttp("it never comes to the final response")
            return True
        self.status = status
        self.headers = _headers(lines[1:])
        self._choose_framing()
        return True

    def _choose_framing(self) -> None:
        """Find out how the body is delimited (RFC 9112, 6.3)."""
        status = self.status or 0
        length = self.headers.get("content-length")
        tunnel = self._method == "CONNECT" and 200 <= status < 300
        if self._method == "HEAD" or status in _BODILESS or tunnel:
            self.done = True
        elif "transfer-encoding" in self.headers:
            codings = self.headers["transfer-encoding"].lower()
            self._read = self._read_size if codings.split(",")[-1].strip() == "chunked" else self._read_all
        elif length is None:
            self._read = self._read_all
        else:
            lengths = {part.strip() for part in length.split(",")}  # equal ones may be repeated
            text = lengths.pop()
            if lengths or not (text.isascii() and text.isdigit()) or len(text) > 18:
                raise NotHttp(f"its Content-Length is {length[:40]!r}")
            self._left = int(text)
            self.done = self._left == 0
            self._read = self._read_counted

    def _read_counted(self) -> bool:
        self._left -= self._take(self._left)
        self.done = self._left == 0
        return True

    def _read_all(self) -> bool:
        self._take(len(self._buffer))
        return True

    def _read_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _SIZE.fullmatch(line.partition(b";")[0].strip())
        if match is None:
            raise NotHttp(f"a chunk's size is {line[:40]!r}")
        self._left = int(match[0], 16)
        self._read = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._left -= self._take(self._left)
        if self._left == 0:
            self._read = self._read_chunk_end
        return True

    def _read_chunk_end(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            raise NotHttp(f"a chunk ends with {line[:40]!r}")
        self._read = self._read_size
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        if line == b"":
            self.done = True
        return line is not None

    def _line(self) -> bytes | None:
        """Take a line, without its end; None if it is not all there."""
        end = self._buffer.find(b"\n")
        if max(end, len(self._buffer) if end < 0 else 0) > _LONGEST_LINE:
            raise NotHttp("a line between its chunks does not end")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def _take(self, most: int) -> int:
        """Hand on so many bytes of the body, or what is there."""
        piece = bytes(self._buffer[:most])
        del self._buffer[:most]
        self.received += len(piece)
        if self._sink is not None:
            self._sink(piece)
        return len(piece)


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            continue  # what is no header says nothing about the body
        key, text = name.strip().lower(), value.strip(" \t")
        if key in ("content-length", "transfer-encoding", "via") and key in headers:
            text = f"{headers[key]}, {text}"
        headers[key] = text
    return headers


def _shown(data: bytes | bytearray) -> str:
    """Return bytes as text in quotes, whatever they are."""
    return repr(data.decode("latin-1"))
