"""Responses as they come over the network: every framing, in pieces of every size, and nonsense."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keptalive.diagnosis.response import NotHttp, Response


def read(data: bytes, method: str = "GET", *, size: int = 1 << 20) -> tuple[Response, bytes]:
    """Feed *data* in pieces of *size*, then the end."""
    body: list[bytes] = []
    response = Response(method, body.append)
    for start in range(0, len(data), size):
        response.feed(data[start : start + size])
    response.end()
    return response, b"".join(body)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# what came, the method, the body, complete or not
FRAMINGS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", b"hello", True),
    "length, cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "GET", b"hello", False),
    "length, repeated": (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "GET", b"ok", True),
    "nothing": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", b"", True),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\nhello", "GET", b"hello", True),
    "chunks": (CHUNKED + b"5\r\nhello\r\n1;name=value\r\n!\r\n0\r\n\r\n", "GET", b"hello!", True),
    "chunks, trailers": (CHUNKED + b"1\r\n!\r\n0\r\nA: b\r\n\r\n", "GET", b"!", True),
    "chunks, cut": (CHUNKED + b"5\r\nhel", "GET", b"hel", False),
    "chunks, no last": (CHUNKED + b"1\r\n!\r\n", "GET", b"!", False),
    "HEAD": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", b"", True),
    "interim": (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200\r\nContent-Length: 1\r\n\r\n!", "GET", b"!", True),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "GET", b"ok", True),
    "a tunnel": (b"HTTP/1.1 200 Connection established\r\n\r\n", "CONNECT", b"", True),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("name", FRAMINGS)
def test_framing(name: str, size: int) -> None:
    """A body ends where its framing says, whatever pieces it comes in."""
    data, method, expected, whole = FRAMINGS[name]
    response, body = read(data, method, size=size)

    assert (body, response.done, response.received) == (expected, whole, len(expected))


def test_head() -> None:
    """The final response's status and headers; what follows it is no part of it."""
    response, body = read(
        b"HTTP/1.1 504 Gateway Time-out\r\nVia: a\r\nVIA: b\r\nContent-Length: 1\r\n\r\n!more"
    )

    assert response.status == 504
    assert response.headers == {"via": "a, b", "content-length": "1"}
    assert (body, response.rest) == (b"!", b"more")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
        CHUNKED + b"hello\r\n",
        CHUNKED + b"1\r\n!!\r\n",
        CHUNKED + b"0" * 5000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000,
        b"HTTP/1.1 102 Processing\r\n\r\n" * 200,
    ],
)
def test_what_is_no_http(data: bytes) -> None:
    """It is refused as soon as it shows, and not waited out."""
    with pytest.raises(NotHttp):
        read(data)


_PIECES = st.sampled_from(
    b"HTTP/1.1 ,200, OK,\r\n,\n,\r\n\r\n,Content-Length: ,5,0,hello,Transfer-Encoding: chunked,;,"
    b"ffffffffffffffffff,HTTP/1.1 100 Continue\r\n\r\n,\0".split(b",")
)
_BYTES = st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=30).map(b"".join))


@given(_BYTES, st.sampled_from(["GET", "HEAD", "CONNECT"]), st.integers(1, 50))
@example(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", "GET", 1)
def test_whatever_comes(data: bytes, method: str, size: int) -> None:
    """NotHttp is all that can be raised; pieces make no difference; nothing is made up or kept for ever."""

    def attempt(size: int) -> tuple[object, ...]:
        try:
            response, body = read(data, method, size=size)
        except NotHttp:
            return ("not http",)
        assert response.received == len(body) <= len(data)
        assert not response.done or response.status is not None
        return response.status, response.done, body, response.headers

    assert attempt(size) == attempt(1 << 20)


_TOKEN = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)


@given(
    st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    st.dictionaries(_TOKEN.map(lambda name: f"x-{name}"), _TOKEN, max_size=3),
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.sampled_from(["length", "chunked", "close"]),
)
def test_as_the_standard_library_reads_it(
    status: int, headers: dict[str, str], pieces: list[bytes], framing: str
) -> None:
    """A response that makes sense is read as http.client reads it."""
    body = b"".join(pieces)
    lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in headers.items())]
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    data = "\r\n".join([*lines, "", ""]).encode() + body
    reference = http.client.HTTPResponse(_Socket(data))  # type: ignore[arg-type]
    reference.begin()
    ours, our_body = read(data)

    assert (ours.status, ours.done, our_body) == (reference.status, True, reference.read())
    assert {name: ours.headers[name] for name in headers} == headers


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def makefile(self, mode: str) -> io.BytesIO:
        return self._file


def test_what_is_no_http_is_shown_as_text() -> None:
    """As it came, and not as Python writes bytes."""
    with pytest.raises(NotHttp) as refused:
        read(b"SSH-2.0-OpenSSH_9.2p1\r\n")

    assert str(refused.value) == "it begins with 'SSH-2.0-'"
