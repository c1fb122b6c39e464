"""aiohttp: sessions, connectors, and responses and websockets in flight.

Rule: a session's connections all come from its connector, which has the protocol of
each made by `_factory` and keeps it in its books, `_conns` and `_acquired`. Those are
private, but cost a request nothing. A protocol has its connection once the TLS handshake
is over; so that a path may die before, sockets come protected out of `_socket_factory`.
A connector that may go another way to a protocol has what `_create_connection` returns
covered as well: one coroutine more for each that waits for its connect, 400 bytes.
Where the books are not as expected, or a connection is just being made, the public
connect() is watched instead, which every request asks for a connection, new or used:
one call more. Supported: aiohttp 3.11 and later (`socket_factory`: 3.12), on asyncio
and uvloop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import aiohttp

from keptalive.cover import Cover
from keptalive.policy import Policy
from keptalive.seams import behind, hand_on_awaited, hold_as, put_cover, wrap

_WATCHES = "_keptalive_watches"  # on a class of protocols: it is one of `_watching`
_CONNECTOR = "_keptalive_connector"  # on a protocol: a weak reference to what it was made for


def socket_factory(policy: Policy | None = None) -> Callable[[Any], socket.socket]:
    """Return a `socket_factory` for aiohttp.TCPConnector: its sockets have *policy* from the start.

    The connector goes through it for proxies too. It does not, unlike hold(), turn the
    end of a killed connection into an error where aiohttp takes it for the end of the
    body. Raises PolicyError for a value that this OS does not take.
    """
    cover = Cover(policy)

    def make(address_info: Any) -> socket.socket:
        sock = _plain_socket(address_info)
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
        _protect_before_connect(connector)
        from_birth = _cover_from_birth(connector)
        if hasattr(connector, "_create_connection") and not (from_birth and _is_aiohttps_own(connector)):
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


def _plain_socket(address_info: Any) -> socket.socket:
    family, kind, protocol, *_ = address_info
    return socket.socket(family, kind, protocol)


def _protect_before_connect(connector: Any) -> None:
    """Have a connector's sockets protected as they are made, where it lets others make them."""
    if hasattr(connector, "_socket_factory"):  # private: what it was given, or None; since 3.12
        if connector._socket_factory is None:
            connector._socket_factory = _plain_socket  # what aiohappyeyeballs does without one
        wrap(connector, "_socket_factory", _make_protected)


def _make_protected(connector: Any, make: Callable[[Any], Any], address_info: Any) -> Any:
    sock = make(address_info)
    hold_as(connector, sock, _protect_socket)
    return sock


def _protect_socket(sock: Any, cover: Cover) -> None:
    cover.protect(sock)


def _protect(protocol: Any, cover: Cover) -> None:
    """Protect one connection and watch its end."""
    put_cover(protocol, cover)
    transport = protocol.transport
    cover.protect(None if transport is None else transport.get_extra_info("socket"))
    _watch_end(protocol)


def _watch_end(protocol: Any) -> None:
    """Let a body that the server ends by closing fail if it was not the server that closed.

    For a connection that is there already. An attribute of its own costs it 800 bytes, which a connection
    covered from birth does without.
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


def _cover_from_birth(connector: Any) -> bool:
    """Have a connector make its protocols of a class that protects and watches; False if that cannot be."""
    factory = behind(connector, "_factory")  # private: a partial of the protocol's class
    if not (isinstance(factory, partial) and isinstance(factory.func, type)):
        return False
    wrap(connector, "_factory", _bear)
    return True


def _bear(connector: Any, factory: Any) -> Any:
    """Make a protocol that knows its connector, whose cover counts once there is a connection."""
    protocol = _watching(factory.func)(*factory.args, **factory.keywords)
    setattr(protocol, _CONNECTOR, weakref.ref(connector))
    return protocol


@cache
def _watching(cls: Any) -> Any:
    """Return the class of a protocol that protects its socket and watches its end; of one such, itself.

    Nothing of ours is then left in the stack while a connect is under way, nor on a protocol but a pointer.
    """
    if hasattr(cls, _WATCHES):
        return cls

    def connection_made(self: Any, transport: Any) -> None:
        cls.connection_made(self, transport)
        hold_as(getattr(self, _CONNECTOR)(), self, _protect)

    def connection_lost(self: Any, error: Any) -> None:
        _fail_if_cut_short(self, error)
        cls.connection_lost(self, error)

    names = {"__module__": cls.__module__, "__doc__": cls.__doc__, _WATCHES: True}
    ours = {"connection_made": connection_made, "connection_lost": connection_lost}
    return type(cls.__name__, (cls,), {**names, **ours})


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


def _is_aiohttps_own(connector: Any) -> bool:
    """Tell whether a connector takes the protocol of every connection from `_factory`.

    aiohttp's own do. A subclass, as aiohttp-socks has them, or a patch may make protocols of another kind.
    """
    return all(
        getattr(getattr(connector, name), "__module__", None) == aiohttp.connector.__name__
        for name in dir(type(connector))
        if "_connection" in name  # _create_connection, _wrap_create_connection, _start_tls_connection …
    )


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
