"""How many whole requests came: whatever comes, in whatever pieces."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keptalive.http_server import LARGEST_HEAD
from keptalive.lab.http_requests import Requests

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"

# what comes -> whole requests
TABLE = {
    "nothing": (b"", 0),
    "a request": (GET, 1),
    "three at once": (GET * 3, 3),
    "bare line feeds": (GET.replace(b"\r", b""), 1),
    "empty lines before": (b"\r\n\n" + GET, 1),
    "no headers": (b"GET / HTTP/1.0\r\n\r\n", 1),
    "half a head": (GET[:-2], 0),
    "a body": (b"PUT / HTTP/1.1\r\nContent-length : 3\r\n\r\n".replace(b" :", b":") + b"abc" + GET, 2),
    "half a body": (b"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", 0),
    "a body like a request": (b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(GET) + GET, 1),
    "chunks": (CHUNKED + b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n" + GET, 2),
    "a chunk too few": (CHUNKED + b"3\r\nabc\r\n", 0),
    "chunked wins": (CHUNKED[:-2] + b"Content-Length: 99\r\n\r\n0\r\n\r\n", 1),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\n\r\n" + GET, 1),
    "an upgrade that is declined": (b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" + GET, 2),
    "no length": (b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n" + GET, 0),
    "a length of many digits": (b"PUT / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n" + GET, 0),
    "no chunk": (CHUNKED + b"xyz\r\n" + GET, 0),
    "TLS": (b"\x16\x03\x01\x00\xff\n\n" + GET, 0),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + GET, 0),
    "a head without an end": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * LARGEST_HEAD + b"\r\n" + GET, 0),
    "a line without an end": (b"G" * 4 * LARGEST_HEAD, 0),
}  # fmt: skip


def whole(pieces: list[bytes]) -> int:
    requests = Requests()
    for piece in pieces:
        requests.feed(piece)
        assert len(requests._held) <= LARGEST_HEAD + len(piece)
    return requests.whole


@pytest.mark.parametrize(("data", "expected"), TABLE.values(), ids=TABLE)
def test_whole_requests_are_counted(data: bytes, expected: int) -> None:
    """At once, and byte for byte."""
    assert whole([data]) == expected
    assert whole([data[i : i + 1] for i in range(min(len(data), 3000))] + [data[3000:]]) == expected


_PARTS = st.sampled_from(
    [
        GET,
        CHUNKED,
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"\r\n",
        b"\n",
        *(d for d, _ in TABLE.values() if len(d) < 500),
    ]
)


@given(st.lists(_PARTS | st.binary(max_size=40), max_size=8).map(b"".join), st.lists(st.integers(1, 50)))
@example(GET + CHUNKED, [5])
def test_nothing_surprises_it_and_pieces_do_not_matter(data: bytes, sizes: list[int]) -> None:
    """It raises nothing, holds no more than a head, and counts the same however the bytes arrive."""
    pieces, rest = [], data
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]

    assert whole([*pieces, rest]) == whole([data])
