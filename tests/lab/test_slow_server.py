"""Each path of the slow server does what it says; asked through a relay that forgets nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from keptalive.lab import Lab, open_lab
from lab.scenario import PATIENCE


@pytest.fixture(scope="module")
def server() -> Iterator[Lab]:
    """Open one lab for all of these tests."""
    with open_lab("idle-drop:600", "relay") as lab:
        yield lab


@pytest.fixture
def connection(server: Lab) -> Iterator[http.client.HTTPConnection]:
    """Connect to it."""
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)) as opened:
        yield opened


def get(
    connection: http.client.HTTPConnection, target: str, method: str = "GET", **options: object
) -> tuple[int, bytes, http.client.HTTPResponse]:
    """Ask, and read the whole answer."""
    connection.request(method, target, **options)  # type: ignore[arg-type]
    response = connection.getresponse()
    return response.status, response.read(), response


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_sleep_answers_not_before_its_time(connection: http.client.HTTPConnection, method: str) -> None:
    """And keeps the connection for the next request."""
    for seconds in ("0.3", "0"):
        started = time.monotonic()
        status, body, _ = get(connection, f"/sleep/{seconds}", method)

        assert time.monotonic() - started >= float(seconds)
        assert (status, body) == (200, b"" if method == "HEAD" else f"slept {seconds}\n".encode())
    assert connection.sock is not None


def test_close_says_so_and_closes(connection: http.client.HTTPConnection) -> None:
    """After the answer."""
    status, body, response = get(connection, "/close/0")

    assert (status, body, response.getheader("Connection")) == (200, b"slept 0\n", "close")
    assert connection.sock is None


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_leads_where_it_is_told(connection: http.client.HTTPConnection, code: int) -> None:
    """Any URL, quoted as in a query."""
    status, _, response = get(connection, f"/redirect/{code}?to=http%3A//elsewhere/sleep/3%3Fkey%3Dk")

    assert (status, response.getheader("Location")) == (code, "http://elsewhere/sleep/3?key=k")


def test_fail_once_fails_once_for_each_key(connection: http.client.HTTPConnection) -> None:
    """503 and then the answer."""
    statuses = [get(connection, f"/fail-once/{key}/0")[0] for key in ("a", "a", "b", "a", "b")]

    assert statuses == [503, 200, 503, 200, 200]


def test_drop_once_closes_without_a_word_once(connection: http.client.HTTPConnection) -> None:
    """As a server does that closed an idle connection just then."""
    with pytest.raises(http.client.RemoteDisconnected):
        get(connection, "/drop-once/d/0")

    assert get(connection, "/drop-once/d/0")[:2] == (200, b"slept 0\n")


@pytest.mark.parametrize("style", ["length", "chunked", "close"])
def test_stream_sends_the_second_half_later(connection: http.client.HTTPConnection, style: str) -> None:
    """However the body is delimited."""
    connection.request("GET", f"/stream/0.3?style={style}")
    response = connection.getresponse()
    halves = [response.readline()]
    started = time.monotonic()
    halves.append(response.read())

    assert halves == [b"the first half\n", b"the second half\n"]
    assert time.monotonic() - started > 0.1
    assert (response.getheader("Content-Length") is not None) is (style == "length")
    assert (response.getheader("Transfer-Encoding") == "chunked") is (style == "chunked")


def test_requests_with_a_key_are_counted_by_method(
    server: Lab, connection: http.client.HTTPConnection
) -> None:
    """Over HTTP, and for the one who opened the lab."""
    for method in ("GET", "POST", "POST"):
        get(connection, "/sleep/0?key=counted", method)
    get(connection, "/redirect/307?to=/sleep/0&key=counted", "POST")

    assert json.loads(get(connection, "/count/counted")[1]) == {"GET": 1, "POST": 3}
    assert server.count("counted") == {"GET": 1, "POST": 3}


def test_bodies_are_read_and_thrown_away(connection: http.client.HTTPConnection) -> None:
    """By length, in chunks, and after 100 Continue."""
    for options in (
        {"body": b"x" * 300_000},
        {
            "body": iter([b"some", b"more" * 50_000]),
            "encode_chunked": True,
            "headers": {"Transfer-Encoding": "chunked"},
        },
    ):
        assert get(connection, "/sleep/0", "POST", **options)[:2] == (200, b"slept 0\n")
    with socket.create_connection((connection.host, connection.port), PATIENCE) as sock:
        sock.sendall(b"PUT /sleep/0 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /nowhere HTTP/1.1", 404),
        ("GET /redirect/200?to=/ HTTP/1.1", 404),
        ("GET /sleep/never HTTP/1.1", 400),
        ("GET /sleep/-1 HTTP/1.1", 400),
        ("GET /sleep/nan HTTP/1.1", 400),
        ("GET /stream/0?style=wild HTTP/1.1", 400),
        ("nonsense", 400),
        ("GET /sleep/0 HTTP/1.1\r\nContent-Length: many", 400),
        ("GET /" + "x" * 70_000 + " HTTP/1.1", 400),
        ("GET http://elsewhere/sleep/0 HTTP/1.0", 200),
    ],
)
def test_what_it_does_not_know_it_refuses(server: Lab, request_line: str, status: int) -> None:
    """And the next connection is served again."""
    with (
        socket.create_connection((server.host, server.port), PATIENCE) as sock,
        sock.makefile("rb") as answer,
    ):
        sock.sendall(request_line.encode() + b"\r\n\r\n")

        assert answer.readline().startswith(b"HTTP/1.1 %d " % status)


def test_hundreds_wait_at_the_same_time(server: Lab) -> None:
    """They are answered together, not in turn."""

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /sleep/1 HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer[-8:]

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(one() for _ in range(400)))

    started = time.monotonic()

    assert asyncio.run(all_of_them()) == [b"slept 1\n"] * 400
    assert time.monotonic() - started < PATIENCE


@pytest.mark.parametrize(("notify", "clean"), [("yes", True), ("no", False)])
def test_a_tls_stream_ends_with_or_without_close_notify(server: Lab, notify: str, clean: bool) -> None:
    """As it is told; a FIN comes either way."""
    pytest.importorskip("trustme")
    context = ssl.create_default_context(cafile=server.ca_file)
    # Some CPython 3.10 and 3.11 set this: such a client takes any FIN for a clean end.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    with (
        socket.create_connection((server.host, server.tls_port), PATIENCE) as raw,
        context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as sock,
    ):
        sock.sendall(f"GET /stream/0.1?style=close&notify={notify} HTTP/1.1\r\n\r\n".encode())
        received = b""
        try:
            while data := sock.recv(4096):
                received += data
            ended_cleanly = True
        except ssl.SSLError:  # SSLEOFError, but for the CPythons above
            ended_cleanly = False

    assert received.endswith(b"the first half\nthe second half\n")
    assert ended_cleanly is clean


def test_it_serves_while_others_are_slow(server: Lab, connection: http.client.HTTPConnection) -> None:
    """A late answer keeps nobody waiting."""
    slow = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    thread = threading.Thread(target=lambda: get(slow, "/sleep/1"))
    thread.start()
    started = time.monotonic()
    get(connection, "/sleep/0")

    assert time.monotonic() - started < 1
    thread.join()
    slow.close()
