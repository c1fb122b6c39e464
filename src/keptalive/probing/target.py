"""Where to measure: from a host's name to connections that stand there.

Rule: names, addresses, TLS and the one request of `--http` are here; the measurement knows only wires.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from keptalive.errors import BadInput
from keptalive.probing.wire import Greeting, TcpWire

_PORT = 443  # what is open to everybody's firewall, and where most long requests go


class Address(NamedTuple):
    """One of a host's addresses."""

    family: int
    sockaddr: Any


@dataclass(frozen=True)
class Target:
    """A port, and what has to be said there so that the server lets a connection be.

    http: a path that is requested with GET. An answer that is slow enough holds the connection where a server
    would close a silent one. Its TLS certificate is checked then, as any client would; with tls alone nothing
    but the handshake is sent, and no certificate is needed.
    """

    host: str
    port: int
    tls: bool = False
    http: str | None = None

    def __post_init__(self) -> None:
        """Refuse what can be no target. Raises BadInput."""
        if not self.host or any(character.isspace() or character in "[]" for character in self.host):
            raise BadInput(f"{self.host!r} is not the name or address of a host")
        if not 0 < self.port < 65536:
            raise BadInput(f"{self.port} is not a port: they go from 1 to 65535")
        if self.http is not None and (not self.http.startswith("/") or not self.http.isprintable()):
            raise BadInput(f"{self.http!r} is not a path: it begins with a slash and has no line breaks")

    async def addresses(self) -> list[Address]:
        """Look the host up. Raises BadInput if there is no such host."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            reason = error.strerror if isinstance(error, socket.gaierror) else "it cannot be a name"
            raise BadInput(f"there is no host {self.host!r} ({reason})") from error
        return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]

    def wire(
        self,
        address: Address,
        make_socket: Callable[[int], socket.socket] | None,
        changed: Callable[[], None],
    ) -> TcpWire:
        """Make an unconnected wire to one of the addresses; parameters as for TcpWire."""
        greet = self._greeting() if self.tls or self.http is not None else None
        return TcpWire(
            address.family, address.sockaddr, changed=changed, greet=greet, make_socket=make_socket
        )

    def _greeting(self) -> Greeting:
        request = None if self.http is None else self._request()
        context = self._context if self.tls else None

        async def greet(sock: socket.socket) -> None:
            loop = asyncio.get_running_loop()
            if context is not None:
                await _shake_hands(sock, context, self.host, request)
            elif request is not None:
                await loop.sock_sendall(sock, request)

        return greet

    @cached_property
    def _context(self) -> ssl.SSLContext:
        # Once for all connections: to load the system's certificates takes some 30 ms.
        if self.http is not None:
            return ssl.create_default_context()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def _request(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.tls else 80
        name = host if self.port == default else f"{host}:{self.port}"
        lines = [f"GET {self.http} HTTP/1.1", f"Host: {name}", "User-Agent: keptalive", "Accept: */*"]
        return "\r\n".join([*lines, "", ""]).encode("utf-8")


def parse_target(text: str, *, tls: bool = False, http: str | None = None) -> Target:
    """Read HOST[:PORT], an IPv6 address in brackets if a port follows. Raises BadInput."""
    if "://" in text or "/" in text:
        raise BadInput(f"{text!r} is not HOST[:PORT]: leave out the scheme and the path")
    host, port = split_target(text)
    if port and not (port.isascii() and port.isdigit()):
        raise BadInput(f"{port!r} is not a port: it is a number from 1 to 65535")
    if len(port) > 5:  # int() itself refuses thousands of digits
        raise BadInput(f"{port} is not a port: they go from 1 to 65535")
    return Target(host, int(port or _PORT), tls, http)


def split_target(text: str) -> tuple[str, str]:
    """Return the host and the port of HOST[:PORT], as they are written; the port is "" if there is none."""
    if text.startswith("["):
        host, end, rest = text[1:].partition("]")
        return (host, rest[1:]) if rest[:1] == ":" or (end and not rest) else (text, "")
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, ""


async def _shake_hands(
    sock: socket.socket, context: ssl.SSLContext, host: str, request: bytes | None
) -> None:
    """Do the TLS handshake, and send a request over it. Raises ssl.SSLError, ConnectionResetError."""
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    done = False
    while not done:
        try:
            tls.do_handshake()
            done = True
            if request is not None:
                tls.write(request)
        except ssl.SSLWantReadError:
            pass
        if outgoing.pending:
            await loop.sock_sendall(sock, outgoing.read())
        if not done:
            received = await loop.sock_recv(sock, 1 << 16)
            if not received:
                raise ConnectionResetError("the server ended the connection in the TLS handshake")
            incoming.write(received)
