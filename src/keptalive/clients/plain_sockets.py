"""TCP sockets themselves: the standard library's, TLS ones, and those of every event loop.

Rule: whatever has a socket's family, type and options is one, and is covered by
setting it once. What a listening socket accepts inherits its options on Linux and
BSD, so holding a listener covers a server.
"""

from __future__ import annotations

import socket
from typing import Any

from keptalive.cover import Cover
from keptalive.ends import watch_end
from keptalive.sockets import apply, is_tcp


def serves(target: object) -> bool:
    """Tell whether *target* is a socket, of any family."""
    return all(hasattr(target, name) for name in ("family", "type", "getsockopt", "setsockopt"))


def hold(target: Any, cover: Cover) -> None:
    """Set the socket now. A Unix socket needs no cover; a datagram socket has none."""
    if target.family == getattr(socket, "AF_UNIX", None):
        return
    if not is_tcp(target):
        cover.refuse("only TCP has keepalive, and this is a socket of another kind")
        return
    report = apply(target, cover.policy if cover.exact else None)
    watch_end(target)
    if report.problems:
        cover.refuse("; ".join(report.problems))


def sockets(target: Any) -> list[Any]:
    """Return the socket."""
    return [target]
