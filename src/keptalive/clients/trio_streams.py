"""trio: sockets, socket streams, TLS streams and listeners.

Rule: a stream leads to its socket by public attributes, which is one connection, set
once. trio reports a killed connection itself: nothing else to do.
"""

from __future__ import annotations

from typing import Any

from keptalive.clients import plain_sockets
from keptalive.cover import Cover

# A stream or listener -> what it stands on.
_UNDERNEATH = ("transport_stream", "transport_listener", "socket")


def serves(target: object) -> bool:
    """Tell whether *target* is a trio socket, or a stream or listener that leads to one."""
    return plain_sockets.serves(target) or any(hasattr(target, name) for name in _UNDERNEATH)


def hold(target: Any, cover: Cover) -> None:
    """Set the socket now; what a listening one accepts inherits its options."""
    for sock in sockets(target):
        plain_sockets.hold(sock, cover)


def sockets(target: Any) -> list[Any]:
    """Return the socket underneath."""
    while not plain_sockets.serves(target):
        name = next((name for name in _UNDERNEATH if hasattr(target, name)), None)
        if name is None:  # TLS over something that is no socket, such as a memory stream
            return []
        target = getattr(target, name)
    return [target]
