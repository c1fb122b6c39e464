"""Listening sockets for the lab's processes: the same port at each of several addresses."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

_ATTEMPTS = 10  # for a free port of one address that is taken at the other; rare even once
_BACKLOG = 4096  # net.core.somaxconn of today's kernels: hundreds of clients may start at once


def listen(hosts: Sequence[str], port: int = 0) -> list[socket.socket]:
    """Listen on *port* of every host (numeric addresses); port 0: one that is free at all of them.

    Raises OSError like bind(2).
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _listen(hosts, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
    return _listen(hosts, port)


def _listen(hosts: Sequence[str], port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listeners.append(socket.create_server((host, port), family=family, backlog=_BACKLOG))
            port = listeners[0].getsockname()[1]
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners
