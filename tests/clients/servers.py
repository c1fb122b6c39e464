"""Servers for the tests of clients: an origin, an HTTP proxy and a SOCKS5 proxy, on loopback.

Rule: real sockets, one thread a connection, and nothing left behind: leaving the
`with` block wakes and joins every thread. Each server notes what it was asked, so
that a test can say which way a request went and how often.

    with Origin() as origin, Origin(tls=True) as secure, HttpProxy() as proxy:
        requests.get(origin.url("/redirect?to=" + secure.url("/")), ...)

Paths of the origin (GET, POST and all others alike, keep-alive unless said):

    /               200 "hello", or what `origin.pages[path]` holds: bytes, or (content type, bytes)
    /close          200, then the connection is closed, as announced
    /drop           the first time the connection is closed without an answer, then 200
    /busy           the first time 503, then 200
    /redirect?to=U  302 to U
    /wait           200 once `origin.gate` is set
    /part/FRAMING   "do" at once, "ne" once `origin.gate` is set; FRAMING is content-length,
                    chunked or until-close (over TLS without close_notify, as most servers do)
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

from keptalive.sockets import read_tcp_info

PATIENCE = 60.0  # seconds after which a thread of a server gives up: far more than any test waits
FRAMINGS = ("content-length", "chunked", "until-close")


class Authority:
    """A certificate authority for one run, and contexts for both sides."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self._certificate = self.ca.issue_cert("localhost", "127.0.0.1", "::1")
        self.server = self.serving()

    def serving(self, *, tickets: int = 2) -> ssl.SSLContext:
        """Return a new context for a server; it sends so many session tickets, usually OpenSSL's two."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._certificate.configure_cert(context)
        context.num_tickets = tickets
        return context

    def client(self) -> ssl.SSLContext:
        """Return a new context that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context

    def write(self, path: Path) -> str:
        """Write the authority's certificate to *path* and return it as a string: for `verify=`."""
        self.ca.cert_pem.write_to_path(path)
        return str(path)


@functools.lru_cache(maxsize=1)
def authority() -> Authority:
    """Return the authority of this run; making one takes some milliseconds."""
    return Authority()


@dataclass(frozen=True)
class Seen:
    """One request as a server saw it."""

    method: str
    path: str  # for a proxy the whole target
    headers: dict[str, str]  # names in lower case
    body: bytes
    peer: Any  # the client's address: two requests with the same one came over one connection


class Server:
    """Accept connections and give each to `serve` in a thread of its own."""

    scheme = "tcp"

    def __init__(self, *, tls: bool = False, family: int = socket.AF_INET, path: Path | None = None) -> None:
        """Listen on loopback, or on the Unix socket *path*; *tls* with a certificate of `authority()`."""
        self.tls = tls
        self.accepted = 0
        self.requests: list[Seen] = []
        if path is None:
            self.host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            self._listener = socket.create_server((self.host, 0), family=socket.AddressFamily(family))
            self.port = self._listener.getsockname()[1]
        else:
            self.host, self.port = "localhost", 0
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._start(self._accept)

    def __enter__(self: Any) -> Any:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Return HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str = "/") -> str:
        """Return the URL of *path* here."""
        return f"{self.scheme}{'s' if self.tls else ''}://{self.address}{path}"

    def close(self) -> None:
        """Stop: close every connection, join every thread."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join(PATIENCE)

    def drop_connections(self) -> None:
        """Close every connection that is open now, as a restarting server does."""
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def serve(self, sock: socket.socket) -> None:
        """Serve one connection until it ends."""
        raise NotImplementedError

    def _start(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, name=f"{type(self).__name__}-{work.__name__}")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            self.accepted += 1
            self._open.add(sock)
            self._start(self._connection, sock)

    def _connection(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        raw = sock
        try:
            if self.tls:
                options: Any = {"server_side": True, "do_handshake_on_connect": False}
                sock = authority().server.wrap_socket(sock, **options)
                self._open.add(sock)  # before the client may count on it
                sock.do_handshake()
            self.serve(sock)
        except (OSError, EOFError):
            pass  # a client that went away is no concern of its server
        finally:
            sock.close()
            self._open -= {raw, sock}


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 for one connection: read a request, note it, answer it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def setup(self) -> None:
        with contextlib.suppress(OSError):  # a Unix socket has no TCP_NODELAY
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rfile = self.request.makefile("rb")
        self.wfile = self.request.makefile("wb", 0)  # type: ignore[assignment]

    def finish(self) -> None:
        self.rfile.close()
        self.wfile.close()

    def log_message(self, *args: Any) -> None:
        """Say nothing: pytest shows what a failing test needs."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer_any
        raise AttributeError(name)

    def answer_any(self) -> None:
        body = self._read_body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Seen(self.command, self.path, headers, body, self.client_address))
        self.server.answer(self, body)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def send(self, status: int, body: bytes = b"", content_type: str = "text/plain", **headers: str) -> None:
        """Send an answer with a known length, in one segment."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self._headers_buffer.append(b"\r\n")  # type: ignore[attr-defined]
        if self.command != "HEAD":
            self._headers_buffer.append(body)  # type: ignore[attr-defined]
        self.flush_headers()


class Origin(Server):
    """An HTTP/1.1 server that is slow, busy, closing or redirecting as the path says."""

    scheme = "http"

    def __init__(self, **options: Any) -> None:
        self.gate = threading.Event()
        self.pages: dict[str, bytes | tuple[str, bytes]] = {}
        self._met: set[str] = set()
        super().__init__(**options)

    def close(self) -> None:
        self.gate.set()
        super().close()

    def serve(self, sock: socket.socket) -> None:
        _Handler(sock, _peer(sock), self)  # type: ignore[arg-type]

    def answer(self, handler: _Handler, body: bytes) -> None:
        """Answer one request as its path says."""
        parts = urlsplit(handler.path)
        if parts.path in self.pages:
            page = self.pages[parts.path]
            content_type, content = ("application/json", page) if isinstance(page, bytes) else page
            handler.send(200, content, content_type)
        elif parts.path == "/close":
            handler.close_connection = True
            handler.send(200, b"hello", Connection="close")
        elif parts.path == "/drop" and self._first("/drop"):
            handler.close_connection = True
        elif parts.path == "/busy" and self._first("/busy"):
            handler.send(503, b"later", Retry_After="0")
        elif parts.path == "/redirect":
            handler.send(302, Location=parse_qs(parts.query)["to"][0])
        elif parts.path == "/wait":
            self.gate.wait(PATIENCE)
            handler.send(200, b"hello")
        elif parts.path.startswith("/part/"):
            self._answer_in_parts(handler, parts.path.removeprefix("/part/"))
        else:
            handler.send(200, b"hello")

    def _first(self, path: str) -> bool:
        """Tell whether *path* is asked for the first time."""
        met, self._met = path in self._met, self._met | {path}
        return not met

    def _answer_in_parts(self, handler: _Handler, framing: str) -> None:
        before, first, second = {
            "content-length": (b"Content-Length: 4", b"do", b"ne"),
            "chunked": (b"Transfer-Encoding: chunked", b"2\r\ndo\r\n", b"2\r\nne\r\n0\r\n\r\n"),
            "until-close": (b"Connection: close", b"do", b"ne"),
        }[framing]
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + before + b"\r\n\r\n" + first)
        self.gate.wait(PATIENCE)
        handler.wfile.write(second)
        handler.close_connection = framing == "until-close"


class SlowHandshake(Origin):
    """An origin that begins to speak TLS once `ready` is set: until then clients are connecting."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        super().__init__()

    def url(self, path: str = "/") -> str:
        return f"https://{self.address}{path}"

    def close(self) -> None:
        self.ready.set()
        super().close()

    def serve(self, sock: socket.socket) -> None:
        self.ready.wait(PATIENCE)
        with authority().server.wrap_socket(sock, server_side=True) as tls:
            self._open.add(tls)
            super().serve(tls)


class HttpProxy(Server):
    """A forward and CONNECT proxy; `requests` shows what it was asked for, `tls=True` is an HTTPS proxy."""

    scheme = "http"

    def serve(self, sock: socket.socket) -> None:
        _Handler(sock, _peer(sock), self)  # type: ignore[arg-type]

    def answer(self, handler: _Handler, body: bytes) -> None:
        """Forward one request, or become a tunnel."""
        handler.close_connection = False
        if handler.command == "CONNECT":
            host, _, port = handler.path.rpartition(":")
            with _dial(self, host.strip("[]"), int(port)) as upstream:
                handler.send_response(200, "Connection established")
                handler.end_headers()
                _splice(handler.request, upstream)
            handler.close_connection = True
            return
        target = urlsplit(handler.path)
        upstream_connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=PATIENCE)
        try:
            upstream_connection.connect()
            self._open.add(upstream_connection.sock)
            path = f"{target.path or '/'}{'?' + target.query if target.query else ''}"
            upstream_connection.request(handler.command, path, body, {"Host": target.netloc})
            response = upstream_connection.getresponse()
            content = response.read()
            location = response.getheader("Location")
            extra = {"Location": location} if location else {}
            handler.send(
                response.status, content, response.getheader("Content-Type") or "text/plain", **extra
            )
        finally:
            self._open.discard(upstream_connection.sock)
            upstream_connection.close()


class SocksProxy(Server):
    """A SOCKS5 proxy without authentication (RFC 1928); `asked` holds (host, port) of each CONNECT."""

    scheme = "socks5"

    def __init__(self, **options: Any) -> None:
        self.asked: list[tuple[str, int]] = []
        super().__init__(**options)

    def serve(self, sock: socket.socket) -> None:
        def read(size: int) -> bytes:
            data = b""
            while len(data) < size:
                data += sock.recv(size - len(data)) or _end()
            return data

        _version, methods = read(2)
        read(methods)
        sock.sendall(b"\x05\x00")
        _version, _command, _reserved, kind = read(4)
        if kind == 3:
            host = read(read(1)[0]).decode()
        else:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            host = socket.inet_ntop(family, read(4 if kind == 1 else 16))
        (port,) = struct.unpack("!H", read(2))
        self.asked.append((unquote(host), port))
        with _dial(self, host, port) as upstream:
            sock.sendall(b"\x05\x00\x00\x01" + bytes(6))
            _splice(sock, upstream)


def _end() -> bytes:
    raise EOFError


def _peer(sock: socket.socket) -> Any:
    """Return the client's address as BaseHTTPRequestHandler wants it: a pair."""
    address = sock.getpeername()
    return address[:2] if isinstance(address, tuple) else ("unix", id(sock))


@contextlib.contextmanager
def _dial(server: Server, host: str, port: int) -> Iterator[socket.socket]:
    """Connect onward; closing the server closes this connection too."""
    upstream = socket.create_connection((host, port), timeout=PATIENCE)
    server._open.add(upstream)
    try:
        yield upstream
    finally:
        server._open.discard(upstream)
        upstream.close()


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until either side ends: in one thread, since a TLS socket takes no two at a time."""
    with contextlib.suppress(OSError):
        while True:
            ready = [sock for sock in (one, other) if isinstance(sock, ssl.SSLSocket) and sock.pending()]
            for source in ready or select.select([one, other], [], [], PATIENCE)[0]:
                if not (data := source.recv(65536)):
                    return
                (other if source is one else one).sendall(data)


def blackhole(sock: Any) -> None:
    """Make the path behind a connected socket of this process swallow, in silence, all that arrives.

    IP_MINTTL drops segments whose TTL is lower, and those of loopback have 64. Linux only. It waits until all
    that was sent is acknowledged: with data in flight there are no probes, only retransmissions.
    """
    deadline = time.monotonic() + PATIENCE
    while read_tcp_info(sock).unacked:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, 73, 255)  # IPV6_MINHOPCOUNT
    else:
        sock.setsockopt(socket.IPPROTO_IP, 21, 255)  # IP_MINTTL
