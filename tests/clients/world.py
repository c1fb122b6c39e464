"""A small world for one test: origins and proxies on loopback, and what the kernel holds for the way there.

Rule: what a connection holds is asked of the kernel, from the descriptors of this process, and not of the
client or of keptalive.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clients.servers import HttpProxy, Origin, Server, SocksProxy, authority
from keptalive import Policy
from matrix.witness import established, options, wanted

POLICY = Policy(idle=30, interval=10, count=4)
LATER = Policy(idle=20, interval=5, count=3)

# name -> (the proxy, the origin), by their names in World
ROUTES: dict[str, tuple[str | None, str]] = {
    "direct": (None, "origin"),
    "TLS": (None, "secure"),
    "HTTP proxy": ("proxy", "origin"),
    "CONNECT proxy": ("proxy", "secure"),
    "HTTPS proxy": ("secure_proxy", "origin"),
    "CONNECT through HTTPS proxy": ("secure_proxy", "secure"),
    "SOCKS": ("socks", "origin"),
    "SOCKS and TLS": ("socks", "secure"),
}


class World:
    """Two plain origins, a TLS one, three proxies, and the authority's certificate in a file."""

    def __init__(self, directory: Path) -> None:
        self.ca = authority().write(directory / "ca.pem")
        self.origin = Origin()
        self.elsewhere = Origin()
        self.secure = Origin(tls=True)
        self.proxy = HttpProxy()
        self.secure_proxy = HttpProxy(tls=True)
        self.socks = SocksProxy()
        self.servers: tuple[Server, ...] = (
            self.origin,
            self.elsewhere,
            self.secure,
            self.proxy,
            self.secure_proxy,
            self.socks,
        )

    def close(self) -> None:
        """Stop every server."""
        for server in self.servers:
            server.close()

    def route(self, name: str) -> tuple[str | None, str, Server]:
        """Return (URL of the proxy or None, URL of the origin, the server connected to) for one of ROUTES."""
        proxy, origin = ROUTES[name]
        first = getattr(self, proxy or origin)
        return first.url("") if proxy else None, getattr(self, origin).url(), first


def kernel(*servers: Server) -> list[tuple[int, ...]]:
    """Return (enabled, idle, interval, count) of each connection of this process to *servers*."""
    with established("127.0.0.1") as found:
        ports = [server.port for server in servers]
        return [tuple(options(sock).values()) for port, sock in found if port in ports]


def as_kernel(policy: Policy) -> tuple[int, ...]:
    """Return what kernel() shows for a policy."""
    return tuple(wanted(str(policy)).values())


def protected(states: Sequence[tuple[int, ...]]) -> bool:
    """Tell whether keepalive is on for all of at least one connection."""
    assert states, "no connection was found"
    return all(state[0] == 1 for state in states)


def unprotected(states: Sequence[tuple[int, ...]]) -> bool:
    """Tell whether keepalive is off for all of at least one connection."""
    assert states, "no connection was found"
    return all(state[0] == 0 for state in states)


def nodelay(sock: Any) -> bool:
    """Tell whether a socket has TCP_NODELAY."""
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
