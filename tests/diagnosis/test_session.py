"""Requests of every kind over loopback: what is sent, what is refused in a sentence, what is kept secret."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import keptalive
from clients.servers import HttpProxy, Origin, Server, authority
from keptalive.cli.diagnose import as_text
from keptalive.diagnosis.result import Diagnosis
from keptalive.errors import BadInput, PolicyError


def diagnose(url: str, **how: Any) -> Diagnosis:
    return keptalive.diagnose(url, **{"connections": 0, "timeout": 20.0, **how})


@pytest.fixture
def cacert(tmp_path: Path) -> str:
    return authority().write(tmp_path / "ca.pem")


class Says(Server):
    """Says the same to everybody who says anything, and hangs up."""

    scheme = "http"

    def __init__(self, what: bytes, *, then: Callable[[socket.socket], None] | None = None) -> None:
        self.what, self.then = what, then
        super().__init__()

    def serve(self, sock: socket.socket) -> None:
        self.heard = sock.recv(1 << 16)
        sock.sendall(self.what)
        if self.then is not None:
            self.then(sock)


# -- what is sent ----------------------------------------------------------------------------------------


def test_the_same_request_twice() -> None:
    """Both arms say the same, over connections of their own."""
    with Origin() as origin:
        diagnosis = diagnose(origin.url("/page?a=b"), headers={"X-Mine": "1"})
        first, second = origin.requests

    assert (first.method, first.path, first.headers) == (second.method, second.path, second.headers)
    assert first.peer != second.peer
    assert (first.path, first.headers["x-mine"]) == ("/page?a=b", "1")
    assert diagnosis.verdict == "slow-server"
    assert [(arm.held, arm.outcome, arm.status) for arm in diagnosis.arms] == [
        (False, "answered", 200),
        (True, "answered", 200),
    ]
    assert diagnosis.evidence.control is None


@pytest.mark.parametrize("twice", [False, True])
def test_a_post_is_not_repeated_unasked(twice: bool) -> None:
    """Only what may be repeated is sent twice, and what the user says may be."""
    with Origin() as origin:
        diagnosis = diagnose(origin.url("/"), data=b"a=b", twice=twice)
        seen = [(request.method, request.body) for request in origin.requests]

    assert seen == [("POST", b"a=b")] * (1 + twice)
    assert diagnosis.verdict == "slow-server"
    assert any("sent once" in fact for fact in diagnosis.because) is not twice


def test_head() -> None:
    """An answer without a body is whole."""
    with Origin() as origin:
        diagnosis = diagnose(origin.url("/"), method="HEAD")

    assert [arm.outcome for arm in diagnosis.arms] == ["answered"] * 2


def test_a_large_upload(tmp_path: Path) -> None:
    """It is sent as a whole, and the answer's body is kept."""
    body = bytes(range(256)) * 40_000  # more than the buffers of a connection
    output = tmp_path / "answer"
    with Origin() as origin:
        diagnosis = diagnose(origin.url("/"), data=body, output=str(output))
        (request,) = origin.requests

    assert request.body == body
    assert diagnosis.evidence.request.body_bytes == len(body)
    assert output.read_bytes() == b"hello"


@pytest.mark.parametrize("framing", ["content-length", "chunked", "until-close"])
def test_every_framing_over_tls(framing: str, cacert: str, tmp_path: Path) -> None:
    """The answer is whole however its body is delimited."""
    output = tmp_path / "answer"
    with Origin(tls=True) as origin:
        origin.gate.set()
        diagnosis = diagnose(origin.url(f"/part/{framing}"), cacert=cacert, output=str(output))

    assert diagnosis.verdict == "slow-server"
    assert output.read_bytes() == b"done"


def test_redirects(cacert: str) -> None:
    """Both arms follow, from one host to another; what is shown is the last."""
    with Origin() as origin, Origin(tls=True) as secure:
        diagnosis = diagnose(origin.url(f"/redirect?to={secure.url('/there')}"), cacert=cacert)
        seen = [len(origin.requests), len(secure.requests)]

    assert seen == [2, 2]
    assert diagnosis.evidence.request.url == secure.url("/there")
    assert diagnosis.evidence.request.redirects == 1


# -- through a proxy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_through_a_proxy(tls: bool, cacert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an option or from the environment; said in the evidence; 'none' goes past it."""
    with Origin(tls=tls) as origin, HttpProxy() as proxy:
        given = diagnose(origin.url("/"), proxy=proxy.address, cacert=cacert)
        monkeypatch.setenv(f"http{'s' * tls}_proxy", proxy.url())
        found = diagnose(origin.url("/"), cacert=cacert)
        past = diagnose(origin.url("/"), proxy="none", cacert=cacert)
        methods = [request.method for request in proxy.requests]

    assert methods == ["CONNECT" if tls else "GET"] * 4
    shapes = [diagnosis.evidence.request for diagnosis in (given, found, past)]
    assert [shape.proxy for shape in shapes] == [proxy.address, proxy.address, None]
    assert [shape.proxy_from for shape in shapes] == ["option", "environment", None]
    assert any("from the environment" in fact for fact in found.because)
    assert {diagnosis.verdict for diagnosis in (given, found, past)} == {"slow-server"}


def test_a_proxy_that_opens_no_tunnel() -> None:
    """It could not reach the server: a result. It wants a password: input that is missing."""
    with Says(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        diagnosis = diagnose("https://server.example/", proxy=proxy.address)
    assert diagnosis.verdict == "unreachable"
    assert diagnosis.evidence.held is not None
    assert "503" in (diagnosis.evidence.held.error or "")

    with (
        Says(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as proxy,
        pytest.raises(BadInput, match="password"),
    ):
        diagnose("https://server.example/", proxy=proxy.address)
    with Says(b"220 ready\r\n") as proxy, pytest.raises(BadInput, match="HTTP"):
        diagnose("https://server.example/", proxy=proxy.address)


# -- results and refusals --------------------------------------------------------------------------------


def test_nobody_there() -> None:
    """A port that refuses is a result."""
    diagnosis = diagnose("http://127.0.0.1:9/")

    assert diagnosis.verdict == "unreachable"
    assert "(Connection refused)" in diagnosis.sentence
    assert diagnosis.policy is None


def test_inside_an_event_loop() -> None:
    """It cannot run there, and says what can, which does; no coroutine is left that nobody awaits."""

    async def ask() -> Diagnosis:
        with pytest.raises(RuntimeError, match="event loop") as refused:
            keptalive.diagnose("http://127.0.0.1:9/")
        assert "await asyncio.to_thread(keptalive.diagnose, ...)" in str(refused.value)
        assert "await keptalive.diagnosis.session.Session(...).run()" in str(refused.value)
        return await asyncio.to_thread(keptalive.diagnose, "http://127.0.0.1:9/")

    assert asyncio.run(ask()).verdict == "unreachable"


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_cut_short() -> None:
    """An answer that ends before it is whole is none, however it ends."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"
    with Says(head) as server:
        closed = diagnose(server.url())
    with Says(head, then=_reset) as server:
        reset = diagnose(server.url())

    assert (closed.verdict, reset.verdict) == ("closed-by-peer", "reset-by-peer")
    assert "in the middle of an answer (status 200, 3 bytes of its body)" in closed.because[0]


class EndsAtOnce(Server):
    """Takes a connection, and ends it: what a port forward does whose server is down."""

    scheme = "http"

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset
        super().__init__()

    def serve(self, sock: socket.socket) -> None:
        if self.reset:
            _reset(sock)
            return
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(1 << 16):  # else what was not read would make an RST of the FIN
                continue


@pytest.mark.parametrize(("reset", "verdict"), [(True, "reset-by-peer"), (False, "closed-by-peer")])
def test_nobody_behind_what_accepts(reset: bool, verdict: str) -> None:
    """The control shows that it is not the request which is disliked."""
    with EndsAtOnce(reset=reset) as server:
        diagnosis = diagnose(server.url())

    # An RST may come before the connection is known to stand.
    assert diagnosis.verdict in (verdict, *(["unreachable"] if reset else []))
    assert diagnosis.also_possible == ()
    assert "nothing listens behind" in diagnosis.sentence
    assert diagnosis.steps[0].what.startswith("Is the server running?")


@pytest.mark.parametrize("timeout", [2.5, 2.9, 3.3])
def test_no_answer_in_time(timeout: float) -> None:
    """The time is what was given; both connections are asked in the end, however recently they were heard."""
    with Origin() as origin:
        began = time.monotonic()
        diagnosis = diagnose(origin.url("/wait"), timeout=timeout)
        seconds = time.monotonic() - began

    assert (diagnosis.verdict, diagnosis.also_possible) == ("slow-server", ("proxy-hop",))
    assert [arm.last_reply for arm in diagnosis.arms] == ["answered"] * 2
    assert seconds >= timeout
    assert f"No answer came in {timeout:g} s, the time given" in diagnosis.sentence
    assert diagnosis.keepalive_helps is None


class NeverReads(Server):
    """Takes a connection, and nothing from it."""

    scheme = "http"

    def __init__(self, **options: Any) -> None:
        self.over = threading.Event()
        super().__init__(**options)

    def serve(self, sock: socket.socket) -> None:
        self.over.wait(60)

    def close(self) -> None:
        self.over.set()
        super().close()


def test_a_server_that_does_not_read() -> None:
    """While data waits to be taken no probe can be sent, so nothing was told of the connection."""
    with NeverReads() as server:
        diagnosis = diagnose(server.url(), data=bytes(20_000_000), twice=True, timeout=2.5)

    assert diagnosis.verdict == "cannot-tell"
    assert [arm.sent_at for arm in diagnosis.arms] == [None, None]
    assert [arm.last_reply for arm in diagnosis.arms] == [None, None]


def test_a_server_that_ends_tls_but_not_tcp(cacert: str) -> None:
    """Its end is an end, whatever becomes of the connection beneath."""
    with EndsTls() as server:
        diagnosis = diagnose(server.url(), cacert=cacert)

    assert diagnosis.verdict == "closed-by-peer"


class EndsTls(NeverReads):
    """Says close_notify instead of an answer, and leaves TCP as it is."""

    def url(self, path: str = "/") -> str:
        return f"https://{self.address}{path}"

    def serve(self, sock: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority().server.wrap_bio(incoming, outgoing, server_side=True)

        def until_done(work: Callable[[], object]) -> None:
            while True:
                try:
                    work()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    data = sock.recv(1 << 16)
                    if not data:
                        raise EOFError from None
                    incoming.write(data)
                else:
                    return

        until_done(tls.do_handshake)
        until_done(lambda: tls.read(1 << 16))
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        sock.sendall(outgoing.read())
        super().serve(sock)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"url": "http://nothing.invalid/"}, "no host"),
        ({"url": "nonsense"}, "not a URL"),
        ({"proxy": "socks5://127.0.0.1:1080"}, "proxy"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"connections": 2}, "connections"),
        ({"rate": -1}, "rate"),
        ({"cacert": "/nonexistent"}, "certificates"),
        ({"output": "/nonexistent/answer"}, "written"),
        ({"headers": {"A": "b\nc"}}, "line break"),
    ],
)
def test_what_makes_no_sense(how: dict[str, Any], words: str) -> None:
    """It is refused in a sentence, before anything is sent."""
    with pytest.raises(BadInput, match=words):
        diagnose(**{"url": "http://127.0.0.1:9/", **how})


def test_what_is_no_http() -> None:
    """A server of another protocol is no server to diagnose."""
    with Says(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n") as server, pytest.raises(BadInput, match="HTTP"):
        diagnose(server.url())


def test_redirects_in_a_circle() -> None:
    """They end."""
    with Says(b"HTTP/1.1 302 Found\r\nLocation: /?a\r\nContent-Length: 0\r\n\r\n") as server:
        with pytest.raises(BadInput, match="circles"):
            diagnose(server.url())
        accepted = server.accepted

    assert accepted == 2 * 21


def test_certificates(cacert: str) -> None:
    """Refused with what would help; trusted with --cacert or --insecure."""
    with Origin(tls=True) as origin:
        with pytest.raises(BadInput, match="certificate") as caught:
            diagnose(origin.url())
        trusted = diagnose(origin.url(), cacert=cacert)
        insecure = diagnose(origin.url(), insecure=True)

    assert "--insecure" in (caught.value.hint or "")
    assert (trusted.verdict, insecure.verdict) == ("slow-server", "slow-server")


def test_tls_where_there_is_none() -> None:
    """A plain server asked for TLS."""
    with Origin() as origin, pytest.raises(BadInput, match="TLS"):
        diagnose(origin.url().replace("http:", "https:"))


def test_a_policy_that_this_system_does_not_take() -> None:
    """The limit is named."""
    with Origin() as origin, pytest.raises(PolicyError):
        diagnose(origin.url(), policy=keptalive.Policy(100_000, 1, 1))


# -- secrets ---------------------------------------------------------------------------------------------


def test_no_secret_gets_out(cacert: str, tmp_path: Path) -> None:
    """Wherever one may be in a request, or be sent back, it is in no part of the diagnosis."""
    secret = "MARKERMARKERMARKERMARKERMARKER"
    with Origin(tls=True) as origin, HttpProxy() as proxy:
        target = f"//{secret}:{secret}@{origin.address}/api/{secret}"
        origin.pages[f"/api/{secret}"] = secret.encode()
        how: dict[str, Any] = {
            "headers": {"Authorization": f"Bearer {secret}", "Cookie": f"a={secret}", "X-Key": secret},
            "data": secret.encode(),
            "proxy": f"http://{secret}:{secret}@{proxy.address}",
            "cacert": cacert,
            "twice": True,
            "output": str(tmp_path / "answer"),
        }
        diagnosis = diagnose(f"https:{target}?key={secret}", **how)
        sent = [str(request.headers) + request.path for request in origin.requests]
    with Says(f"HTTP/1.1 504 {secret}\r\nX-Key: {secret}\r\nContent-Length: 0\r\n\r\n".encode()) as server:
        gateway = diagnose(server.url(f"/?{secret}"), **{**how, "proxy": "none"})
    with Says(secret.encode()) as server, pytest.raises(BadInput) as caught:
        diagnose(server.url(f"/?{secret}"), **{**how, "proxy": "none"})

    assert all(secret in text for text in sent)
    assert (tmp_path / "answer").read_text() == ""  # the last answer: a gateway's
    for found in (diagnosis, gateway):
        assert found.verdict in ("slow-server", "gateway-timeout")
        for text in (json.dumps(found.row()), repr(found), "\n".join(as_text(found))):
            assert "MARKER" not in text.replace(str(tmp_path), "")
    assert secret not in str(caught.value)
