"""aiohttp: sessions, connectors, and responses and websockets in flight.

Rule: a session's connections all come from its connector, which makes each in
`_create_connection` and keeps it in its books, `_conns` and `_acquired`. Those are
private, but cost a request nothing. Where they are not as expected, or a connection
is just being made, the public connect() is watched instead, which every request asks
for a connection, new or used: one call more. Supported: aiohttp 3.11 and later
(`socket_factory`: 3.12), on asyncio and uvloop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import aiohttp

from keptalive.cover import Cover
from keptalive.policy import Policy
from keptalive.seams import hand_on_awaited, put_cover

_WATCHES = "_keptalive_watches"  # on a class of protocols: its own connection_lost() is ours


def socket_factory(policy: Policy | None = None) -> Callable[[Any], socket.socket]:
    """Return a `socket_factory` for aiohttp.TCPConnector: its sockets have *policy* from the start.

    The connector goes through it for proxies too. It does not, unlike hold(), turn the
    end of a killed connection into an error where aiohttp takes it for the end of the
    body. Raises PolicyError for a value that this OS does not take.
    """
    cover = Cover(policy)

    def make(address_info: Any) -> socket.socket:
        family, kind, protocol, *_ = address_info
        sock = socket.socket(family, kind, protocol)
        cover.protect(sock)
        return sock

    return make


def serves(target: object) -> bool:
    """Tell whether *target* is a session, a connector, or a response or websocket of one."""
    return isinstance(
        target,
        (
            aiohttp.ClientSession,
            aiohttp.BaseConnector,
            aiohttp.ClientResponse,
            aiohttp.ClientWebSocketResponse,
        ),
    )


def hold(target: Any, cover: Cover) -> None:
    """Cover a session's connector, or the connection of a response or websocket."""
    if isinstance(target, aiohttp.ClientWebSocketResponse):
        cover.protect(target.get_extra_info("socket"))
        return
    if isinstance(target, (aiohttp.ClientSession, aiohttp.BaseConnector)):
        connector = _connector_of(target)
        if connector is None:  # closed or detached: it will open nothing
            return
        put_cover(connector, cover)
        _watch_ends_from_birth(connector)
        if hasattr(connector, "_create_connection"):
            hand_on_awaited(connector, "_create_connection", _protect)
        if not _shows_all(connector):
            hand_on_awaited(connector, "connect", _protect, part="protocol")
    for protocol in _protocols_of(target):
        _protect(protocol, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of all open connections."""
    if isinstance(target, aiohttp.ClientWebSocketResponse):
        found = [target.get_extra_info("socket")]
    else:
        found = [protocol.transport.get_extra_info("socket") for protocol in _protocols_of(target)]
    return [sock for sock in found if sock is not None]


def _protect(protocol: Any, cover: Cover) -> None:
    """Protect one connection and watch its end."""
    put_cover(protocol, cover)
    transport = protocol.transport
    cover.protect(None if transport is None else transport.get_extra_info("socket"))
    _watch_end(protocol)


def _watch_end(protocol: Any) -> None:
    """Let a body that the server ends by closing fail if it was not the server that closed.

    For a connection that is there already. An attribute of its own costs it 800 bytes, which a connection
    made by `_watch_ends_from_birth` does without.
    """
    original = protocol.connection_lost
    is_ours = getattr(original, "__self__", None) is not protocol or hasattr(type(protocol), _WATCHES)
    if is_ours:
        return

    # Holds the protocol, as the bound method does: a transport schedules the call and may let go of the rest.
    def connection_lost(error: Any) -> None:
        del protocol.connection_lost  # called once: leave no circle behind
        _fail_if_cut_short(protocol, error)
        original(error)

    protocol.connection_lost = connection_lost


def _watch_ends_from_birth(connector: Any) -> None:
    """Have a connector make its connections of a class that does the same as `_watch_end`."""
    factory = getattr(connector, "_factory", None)  # private: a partial of the protocol's class
    if isinstance(factory, partial) and isinstance(factory.func, type):
        connector._factory = partial(_watching(factory.func), *factory.args, **factory.keywords)


@cache
def _watching(cls: Any) -> Any:
    """Return the class of a protocol that watches its end; for one that is such, itself."""
    if hasattr(cls, _WATCHES):
        return cls

    def connection_lost(self: Any, error: Any) -> None:
        _fail_if_cut_short(self, error)
        cls.connection_lost(self, error)

    names = {"__module__": cls.__module__, "__doc__": cls.__doc__, "connection_lost": connection_lost}
    return type(cls.__name__, (cls,), {**names, _WATCHES: True})


def _fail_if_cut_short(protocol: Any, error: Any) -> None:
    """Let the body that is being read fail if the connection was killed.

    aiohttp itself tells a body that ends with its connection complete, however that ended. A FIN comes
    without an error; a body that is complete already is left alone.
    """
    payload = getattr(protocol, "_payload", None)  # private: the body that is being read now
    if (
        isinstance(error, OSError)
        and not isinstance(error, ssl.SSLError)
        and isinstance(payload, aiohttp.StreamReader)
        and not payload.is_eof()
        and payload.exception() is None
    ):
        cut_short = aiohttp.ClientPayloadError(f"Response payload is not completed: {error!r}")
        cut_short.__cause__ = error
        payload.set_exception(cut_short)


def _shows_all(connector: Any) -> bool:
    """Tell whether every connection there is, or will be, is seen without a look at each request."""
    private = all(hasattr(connector, name) for name in ("_create_connection", "_conns", "_acquired"))
    # While a connection is being made a placeholder stands for it, which is no protocol.
    return private and all(isinstance(made, asyncio.BaseProtocol) for made in connector._acquired)


def _connector_of(target: Any) -> Any:
    return target.connector if isinstance(target, aiohttp.ClientSession) else target


def _protocols_of(target: Any) -> list[Any]:
    """Return the protocols of all open connections behind *target*."""
    if isinstance(target, aiohttp.ClientResponse):
        found = [] if target.connection is None else [target.connection.protocol]
    else:
        connector = _connector_of(target)
        pooled = getattr(connector, "_conns", {})
        found = [protocol for connections in pooled.values() for protocol, _ in connections]
        found += getattr(connector, "_acquired", ())
    return [protocol for protocol in found if getattr(protocol, "transport", None) is not None]
