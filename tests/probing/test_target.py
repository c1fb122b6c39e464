"""Where to measure: names and ports as people write them, and what is said there first."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from hypothesis import example, given
from hypothesis import strategies as st

from keptalive.errors import BadInput
from keptalive.probing.target import Target, parse_target


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.com", "example.com", 443),
        ("example.com:8080", "example.com", 8080),
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("::1", "::1", 443),
        ("[::1]", "::1", 443),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
    ],
)
def test_parse_target(text: str, host: str, port: int) -> None:
    """HOST[:PORT], with brackets around an IPv6 address that has a port."""
    assert parse_target(text) == Target(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "https://example.com",
        "example.com/path",
        "example.com:http",
        "example.com:0",
        "a b:80",
        "h:70000",
    ],
)
def test_no_target(text: str) -> None:
    """One sentence instead of a look-up that cannot succeed."""
    with pytest.raises(BadInput):
        parse_target(text)


@pytest.mark.parametrize("path", ["sleep", "", "/a\r\nX-Injected: 1", "/\0"])
def test_no_path(path: str) -> None:
    """A path begins with a slash and cannot smuggle a header."""
    with pytest.raises(BadInput):
        parse_target("example.com", http=path)


def test_no_such_host() -> None:
    """A name that does not resolve is named."""
    with pytest.raises(BadInput, match=r"there is no host 'nothing\.invalid'"):
        asyncio.run(Target("nothing.invalid", 80).addresses())


def test_a_name_that_cannot_be_one() -> None:
    """An encoding error of the resolver is the same mistake."""
    with pytest.raises(BadInput, match="there is no host"):
        asyncio.run(Target("a" * 70 + ".example", 80).addresses())


class Listener:
    """Takes one connection in a thread of its own and keeps what it was told."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.heard = b""
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self) -> None:
        with contextlib.suppress(OSError):
            taken, _ = self.socket.accept()
            with taken:
                if self.context is not None:
                    taken = self.context.wrap_socket(taken, server_side=True)
                with taken:
                    self.heard = taken.recv(4096)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.thread.join()
        self.socket.close()


@pytest.fixture
def plain() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def secure() -> Iterator[Listener]:
    """Offer TLS with a certificate of a CA that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    listener = Listener(context)
    yield listener
    listener.close()


async def meet(target: Target) -> None:
    (address,) = await target.addresses()
    wire = target.wire(address, None, lambda: None)
    await asyncio.wait_for(wire.connect(), 10)
    try:
        await asyncio.sleep(0.2)
    finally:
        wire.close()


def test_nothing_is_said_without_being_told(plain: Listener) -> None:
    """A plain target connects, and is silent."""
    asyncio.run(meet(Target("127.0.0.1", plain.socket.getsockname()[1])))
    plain.thread.join(5)

    assert plain.heard == b""


def test_a_request_as_any_client_sends_it(plain: Listener) -> None:
    """GET, with the host and the port it was asked at."""
    port = plain.socket.getsockname()[1]
    asyncio.run(meet(Target("127.0.0.1", port, http="/sleep/9?a=b")))
    plain.thread.join(5)

    assert plain.heard.startswith(f"GET /sleep/9?a=b HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())
    assert plain.heard.endswith(b"\r\n\r\n")


def test_tls_alone_needs_no_certificate_to_be_trusted(secure: Listener) -> None:
    """Nothing but the handshake is sent, so there is nothing to protect."""
    asyncio.run(meet(Target("127.0.0.1", secure.socket.getsockname()[1], tls=True)))


def test_a_request_over_tls_checks_the_certificate(secure: Listener) -> None:
    """As any client would."""
    target = Target("127.0.0.1", secure.socket.getsockname()[1], tls=True, http="/")
    with pytest.raises(ssl.SSLCertVerificationError):
        asyncio.run(meet(target))


def test_a_request_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent once the handshake is done, to a server whose certificate is trusted."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    listener = Listener(context)
    try:
        asyncio.run(meet(Target("127.0.0.1", listener.socket.getsockname()[1], tls=True, http="/slow")))
        listener.thread.join(5)
    finally:
        listener.close()

    assert listener.heard.startswith(b"GET /slow HTTP/1.1\r\n")


def test_no_tls_there() -> None:
    """A server that speaks first, and not TLS."""

    def talk() -> None:
        with contextlib.suppress(OSError):
            taken, _ = other.accept()
            with taken:
                taken.sendall(b"220 mail.example ESMTP\r\n")
                taken.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as other:
        speaker = threading.Thread(target=talk)
        speaker.start()
        with pytest.raises(ssl.SSLError):
            asyncio.run(meet(Target("127.0.0.1", other.getsockname()[1], tls=True)))
        speaker.join()


_HOSTS = st.from_regex(r"[a-z0-9-]{1,9}(\.[a-z0-9-]{1,9}){0,2}", fullmatch=True)


@given(_HOSTS, st.integers(1, 65535))
def test_any_host_and_port(host: str, port: int) -> None:
    """They come out as they were written together."""
    assert parse_target(f"{host}:{port}") == Target(host, port)


@given(st.text(alphabet="0123456789ab.:[]/ \0\udcffé", max_size=12), st.none() | st.text(max_size=5))
@example("h:" + "1" * 5000, None)  # int() refuses thousands of digits
def test_any_text_is_a_target_or_refused(text: str, path: str | None) -> None:
    """A target whose port can be, and whose path smuggles nothing into the request; or BadInput."""
    try:
        target = parse_target(text, http=path)
    except BadInput:
        return
    assert 0 < target.port < 65536
    assert target.host in text
    assert path is None or (path.startswith("/") and path.isprintable())
