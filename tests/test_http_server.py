"""The little of HTTP that our own servers speak: what they read, and what they refuse."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keptalive.http_server import LARGEST_HEAD, BadRequest, Request, number_of_seconds, read_request


class Silence:
    """A writer that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def read(data: bytes, times: int = 1) -> list[Request | None]:
    """Read requests from what a client sent before it closed."""

    async def run() -> list[Request | None]:
        reader = asyncio.StreamReader(limit=LARGEST_HEAD)
        reader.feed_data(data)
        reader.feed_eof()
        writer: Any = Silence()
        return [await read_request(reader, writer) for _ in range(times)]

    return asyncio.run(run())


def test_a_request() -> None:
    """Method, path, query; HTTP/1.1 goes on unless it is told to end."""
    (request,) = read(b"GET /sleep/5?key=a%20b HTTP/1.1\r\nHost: x\r\n\r\n")

    assert request == Request("GET", ["sleep", "5"], {"key": "a b"}, keep_alive=True)


@pytest.mark.parametrize(
    ("version", "connection", "goes_on"),
    [("1.1", "", True), ("1.1", "close", False), ("1.0", "", False), ("1.0", "Keep-Alive", True)],
)
def test_whether_the_connection_goes_on(version: str, connection: str, goes_on: bool) -> None:
    """As the version and the header say."""
    (request,) = read(f"GET / HTTP/{version}\r\nConnection: {connection}\r\n\r\n".encode())

    assert request is not None
    assert request.keep_alive is goes_on


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
def test_bodies_are_read_and_thrown_away(body: bytes) -> None:
    """However they are delimited: the next request is where it belongs."""
    first, second, end = read(b"POST /a HTTP/1.1\r\n" + body + b"GET /b HTTP/1.1\r\n\r\n", 3)

    assert first is not None
    assert second is not None
    assert (first.steps, second.steps, end) == (["a"], ["b"], None)


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_before_a_request_are_ignored(before: bytes) -> None:
    """RFC 9112, 2.2."""
    (request,) = read(before + b"GET /a HTTP/1.1\r\n\r\n")

    assert request is not None
    assert request.steps == ["a"]


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"\r\n"])
def test_a_client_that_has_no_more(data: bytes) -> None:
    """No request, and no error."""
    assert read(data) == [None]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * LARGEST_HEAD + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request(data: bytes) -> None:
    """Refused in a sentence."""
    with pytest.raises(BadRequest):
        read(data)


def test_number_of_seconds() -> None:
    """From zero to the longest."""
    assert number_of_seconds("0", 10) == 0
    assert number_of_seconds("9.5", 10) == 9.5
    for text in ("10.1", "-1", "nan", "inf", "x", ""):
        with pytest.raises(BadRequest):
            number_of_seconds(text, 10)
