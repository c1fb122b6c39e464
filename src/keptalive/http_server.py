"""The little of HTTP/1.1 that keptalive's own servers speak, over asyncio's streams.

Rule: it reads requests and writes responses; what a path means is the server's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

#: Bytes that a request's head may have: the limit of a StreamReader that is given to `read_request`.
LARGEST_HEAD = 64 * 1024


class Request(NamedTuple):
    """What a client asked for."""

    method: str
    steps: list[str]  # the path, split at its slashes
    query: dict[str, str]
    keep_alive: bool


class BadRequest(Exception):
    """The server cannot make sense of it; to be answered with 400."""


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """Read a request with its body, which is thrown away; None if the client has no more.

    Raises BadRequest, and OSError or IncompleteReadError if the connection ends in the middle.
    """
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lstrip("\r\n")
        while not text:  # an empty line or two before a request are to be ignored (RFC 9112, 2.2)
            text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lstrip("\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequest(f"a request's head is at most {LARGEST_HEAD} bytes here") from error
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.split("\r\n")
    try:
        method, target, version = first.split(" ")
        url = urlsplit(target)
        rows = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in rows}
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await _skip_body(reader, headers)
    except ValueError as error:
        raise BadRequest(f"this is no request: {first[:80]!r}") from error
    connection = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    keep_alive = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
    steps = [unquote(step) for step in url.path.strip("/").split("/")]
    return Request(method, steps, dict(parse_qsl(url.query)), keep_alive)


async def _skip_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> None:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        await _skip(reader, int(headers.get("content-length", "0")))
        return
    while size := int((await reader.readline()).split(b";")[0], 16):
        await _skip(reader, size + 2)
    while (await reader.readline()).strip():
        pass  # trailers


async def _skip(reader: asyncio.StreamReader, size: int) -> None:
    while size > 0:
        piece = await reader.read(min(size, 1 << 16))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(piece)


def number_of_seconds(text: str, longest: float) -> float:
    """Read N of a path. Raises BadRequest for anything but a number from 0 to *longest*."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= longest:
        raise BadRequest(f"{text[:40]!r} is not a number of seconds between 0 and {longest:.0f}")
    return seconds


def head_of(status: int, keep_alive: bool, headers: Mapping[str, object]) -> bytes:
    """Return the head of a response."""
    rows = {"Server": "keptalive", "Connection": "keep-alive" if keep_alive else "close", **headers}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in rows.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def respond(
    writer: asyncio.StreamWriter,
    status: int,
    body: str,
    *,
    keep_alive: bool,
    head: bool = False,
    more: Mapping[str, str] | None = None,
) -> None:
    """Write a whole response with a body of text, or its head alone. Raises OSError."""
    headers = {"Content-Type": "text/plain", "Content-Length": len(body), **(more or {})}
    writer.write(head_of(status, keep_alive, headers) + (b"" if head else body.encode("latin-1")))
    await writer.drain()
