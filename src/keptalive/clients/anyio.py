"""anyio: streams and listeners, on asyncio, uvloop and trio.

Rule: the typed attribute `SocketAttribute.raw_socket` is public and reaches through
TLS and buffered streams alike. anyio reports a killed connection itself.
Supported: anyio 4.4 and later.
"""

from __future__ import annotations

from typing import Any

from anyio import TypedAttributeProvider
from anyio.abc import SocketAttribute
from anyio.streams.stapled import MultiListener

from keptalive.clients import plain_sockets
from keptalive.cover import Cover


def serves(target: object) -> bool:
    """Tell whether *target* is a stream or listener."""
    return isinstance(target, TypedAttributeProvider)


def hold(target: Any, cover: Cover) -> None:
    """Set the socket now; what a listening one accepts inherits it. A memory stream needs no cover."""
    for sock in sockets(target):
        plain_sockets.hold(sock, cover)


def sockets(target: Any) -> list[Any]:
    """Return the socket underneath, or all sockets of a listener."""
    if isinstance(target, MultiListener):
        return [sock for listener in target.listeners for sock in sockets(listener)]
    sock = target.extra(SocketAttribute.raw_socket, None)
    return [] if sock is None else [sock]
