"""websockets: an open connection, of its asyncio and threading implementations.

Rule: one connection, set once, through the public `transport` (asyncio) or `socket`
(threads). What reconnects, `async for connection in connect(...)`, makes a new
connection each time: hold each. Supported: websockets 13.0 and later.
"""

from __future__ import annotations

from typing import Any

from keptalive.clients import plain_sockets
from keptalive.cover import Cover
from keptalive.errors import Uncovered


def serves(target: object) -> bool:
    """Tell whether *target* is a connection, or the connect() that makes one."""
    return any(hasattr(target, name) for name in ("transport", "socket", "__await__"))


def hold(target: Any, cover: Cover) -> None:
    """Set the connection's socket now."""
    found = sockets(target)
    if not found:
        raise Uncovered("this is not connected: hold() each connection that websockets.connect() returns")
    for sock in found:
        plain_sockets.hold(sock, cover)


def sockets(target: Any) -> list[Any]:
    """Return the connection's socket; none if it is not connected."""
    if hasattr(target, "socket"):
        return [target.socket]
    transport = getattr(target, "transport", None)
    sock = None if transport is None else transport.get_extra_info("socket")
    return [] if sock is None else [sock]
