"""asyncio: streams, transports and servers, of asyncio itself and of uvloop.

Rule: the socket that `get_extra_info("socket")` shows is one connection, set once.
A killed connection is reported by asyncio and uvloop themselves: nothing else to do.
"""

from __future__ import annotations

import asyncio
from typing import Any

from keptalive.clients import plain_sockets
from keptalive.cover import Cover
from keptalive.errors import Uncovered

# A transport or writer; a server; a reader (private: nothing public leads from it to its connection).
_LEADS_TO_SOCKETS = ("get_extra_info", "sockets", "_transport")


def serves(target: object) -> bool:
    """Tell whether *target* is a stream, transport, server, transport's socket, or a (reader, writer)."""
    if isinstance(target, tuple):
        return any(isinstance(part, asyncio.StreamWriter) for part in target)
    # By module and shape: uvloop's classes do not derive from asyncio's.
    modules = {cls.__module__.partition(".")[0] for cls in type(target).__mro__}
    return not modules.isdisjoint(("asyncio", "uvloop")) and (
        plain_sockets.serves(target) or any(hasattr(target, name) for name in _LEADS_TO_SOCKETS)
    )


def hold(target: Any, cover: Cover) -> None:
    """Set the socket now; of a server the listening ones, whose options accepted ones inherit."""
    found = sockets(target)
    if not found:
        raise Uncovered(f"{type(target).__qualname__} has no socket: it is closed, or stands on pipes")
    for sock in found:
        plain_sockets.hold(sock, cover)


def sockets(target: Any) -> list[Any]:
    """Return the socket under a stream or transport, or a server's listening sockets."""
    if plain_sockets.serves(target):
        return [target]
    if hasattr(target, "sockets"):  # a server
        return list(target.sockets)
    if isinstance(target, tuple):
        target = next(part for part in target if isinstance(part, asyncio.StreamWriter))
    if isinstance(target, asyncio.StreamReader):
        target = getattr(target, "_transport", None)
    sock = None if target is None else target.get_extra_info("socket")
    return [] if sock is None else [sock]
