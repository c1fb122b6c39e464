"""The little of HTTP that our own servers speak: what they read, and what they refuse."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


_PIECES = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\n", b"POST /sleep/5?a=b HTTP/1.0\r\n", b"GET http://[/ HTTP/1.1\r\n", b"\r\n"),
        *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: " + b"9" * 5000 + b"\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"-5\r\n", b"0\r\n\r\n", b"hello"),
        *(b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
    ]
)


@given(st.lists(_PIECES | st.binary(max_size=20), max_size=8).map(b"".join))
@settings(deadline=None)
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    """A request, none, BadRequest in one line, or the end of the connection: nothing else, and no waiting."""

    async def run() -> None:
        reader = asyncio.StreamReader(limit=LARGEST_HEAD)
        reader.feed_data(data)
        reader.feed_eof()
        writer: Any = Silence()
        left = len(data) + 1
        while (request := await asyncio.wait_for(read_request(reader, writer), 60)) is not None:
            assert request.method
            assert len(reader._buffer) < left, "it reads the same again"  # type: ignore[attr-defined]
            left = len(reader._buffer)  # type: ignore[attr-defined]
        assert writer.written in (b"", *(b"HTTP/1.1 100 Continue\r\n\r\n" * n for n in range(1, 9)))

    try:
        asyncio.run(run())
    except BadRequest as error:
        assert "\n" not in str(error)
    except asyncio.IncompleteReadError:
        pass  # the client went away in the middle of a body


@given(st.text(max_size=12) | st.floats().map(str), st.floats(0, 1e6))
def test_any_text_is_a_number_of_seconds_or_refused(text: str, longest: float) -> None:
    """From zero to the longest, or BadRequest."""
    try:
        seconds = number_of_seconds(text, longest)
    except BadRequest:
        return
    assert 0 <= seconds <= longest
    assert seconds == float(text)
