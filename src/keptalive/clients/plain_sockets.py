"""TCP sockets themselves: the standard library's, TLS ones, and gevent's.

Rule: a socket is covered by setting it once. What a listening socket accepts
inherits its options on Linux and BSD, so holding a listener covers a server.
"""

from __future__ import annotations

import socket
from typing import Any

from keptalive.cover import Cover, watch_end
from keptalive.errors import Uncovered
from keptalive.sockets import apply


def serves(target: object) -> bool:
    """Tell whether *target* is a socket of any family."""
    return isinstance(target, socket.socket) or all(
        hasattr(target, name) for name in ("family", "type", "getsockopt", "setsockopt")
    )


def hold(target: Any, cover: Cover) -> None:
    """Set the socket now. A Unix socket needs no cover; a datagram socket has none."""
    if target.family == getattr(socket, "AF_UNIX", None):
        return
    if target.type != socket.SOCK_STREAM:
        raise Uncovered("only TCP has keepalive, this is a datagram socket")
    report = apply(target, cover.policy if cover.exact else None)
    if report.problems:
        raise Uncovered("; ".join(report.problems))
    watch_end(target)


def sockets(target: Any) -> list[Any]:
    """Return the socket."""
    return [target]
