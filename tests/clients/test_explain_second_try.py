"""explain(), where a client has sent a request twice by itself and tells of the second try alone."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import keptalive
from clients.fates import fill, full_listener

aiohttp = pytest.importorskip("aiohttp")

LOST = "an earlier connection of this request had been lost"
PATIENCE = 30


@contextmanager
def losing(then: str) -> Iterator[str]:
    """Yield the URL of a server that resets the first request and is "silent" to all others, or "gone"."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    listener.settimeout(PATIENCE)
    opened = [listener]

    def serve() -> None:
        victim, _ = listener.accept()
        victim.recv(1 << 16)
        if then == "silent":
            opened.extend(fill(listener))
        else:
            listener.close()
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        victim.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "http://{}:{}/".format(*listener.getsockname())
    finally:
        thread.join()
        for sock in opened:
            sock.close()


def raised(method: str, url: str, **limits: Any) -> BaseException:
    """Return what aiohttp raises."""

    async def ask() -> None:
        timeout = aiohttp.ClientTimeout(**limits)
        async with keptalive.hold(aiohttp.ClientSession(timeout=timeout)) as session:
            await session.request(method, url)

    with pytest.raises((aiohttp.ClientError, asyncio.TimeoutError)) as caught:
        asyncio.run(ask())
    return caught.value


@pytest.mark.parametrize(
    ("then", "limits", "cause", "said"),
    [
        ("silent", {"total": None, "sock_connect": 0.5}, "client-timeout", "while it was connecting"),
        ("silent", {"total": 1}, "client-timeout", "a time limit of this program's own"),
        ("gone", {"total": 20}, "refused", "nobody listens on that port"),
    ],
    ids=["limit of connecting", "limit of the whole", "refused"],
)
def test_the_second_try(then: str, limits: dict[str, Any], cause: str, said: str) -> None:
    """What became of it, and that there had been a first, for which keepalive may have helped."""
    with losing(then) as url:
        error = raised("GET", url, **limits)
    found = keptalive.explain(error)
    wrapped = RuntimeError("job failed")
    wrapped.__cause__ = error

    assert found is not None
    assert (found.cause, found.keepalive_may_help) == (cause, True)
    assert said in found.what
    assert found.what.endswith(LOST)
    assert "keptalive diagnose URL" in found.hint
    assert keptalive.explain(wrapped) == found


def test_what_is_sent_once_had_no_second_try() -> None:
    """A POST ends with its own connection."""
    with losing("silent") as url:
        found = keptalive.explain(raised("POST", url, total=20))

    assert found is not None
    assert found.cause == "reset"
    assert LOST not in found.what


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_first_try_is_none(method: str) -> None:
    """Nobody answers the attempt to connect, and nothing had been lost."""
    listener, *others = full_listener()
    error = raised(method, "http://{}:{}/".format(*listener.getsockname()), total=None, sock_connect=0.5)
    for sock in (listener, *others):
        sock.close()
    found = keptalive.explain(error)

    assert found is not None
    assert (found.cause, found.keepalive_may_help) == ("client-timeout", False)
    assert LOST not in found.what


def test_a_redirected_post_is_not_repeated() -> None:
    """It goes on as a GET, on a connection of its own, which is refused: that was no second try."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as nobody:
        listener.settimeout(PATIENCE)
        nobody.bind(("127.0.0.1", 0))  # and does not listen

        def redirect() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1 << 16)
                where = "http://{}:{}/".format(*nobody.getsockname())
                peer.sendall(f"HTTP/1.1 303 See\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())

        thread = threading.Thread(target=redirect)
        thread.start()
        found = keptalive.explain(raised("POST", "http://{}:{}/".format(*listener.getsockname()), total=20))
        thread.join()

    assert found is not None
    assert found.cause == "refused"
    assert LOST not in found.what
