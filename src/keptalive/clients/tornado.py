"""tornado: its two HTTP clients, the blocking one on top of them, TCPClient and IOStream.

Rule: the simple client opens one connection a request through its TCPClient's public
connect(), which returns after the TLS handshake; its private `_create_stream` shows each
before. The curl client's libcurl tells a callback which descriptors to watch; that
callback sees each connection before its request goes out, pooled ones included.
AsyncHTTPClient() is one object for an event loop: holding it covers all its users.
Supported: tornado 6.4 and later.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from tornado import httpclient, httputil, iostream, simple_httpclient, tcpclient

from keptalive.clients import plain_sockets
from keptalive.cover import Cover
from keptalive.seams import cover_of, follow, put_cover, wrap


def serves(target: object) -> bool:
    """Tell whether *target* is an HTTP client, a TCPClient or an IOStream."""
    return isinstance(
        target, (httpclient.AsyncHTTPClient, httpclient.HTTPClient, tcpclient.TCPClient, iostream.IOStream)
    )


def hold(target: Any, cover: Cover) -> None:
    """Cover a client's connections to come, and those of the curl client that are open; or one stream."""
    if isinstance(target, iostream.IOStream):
        plain_sockets.hold(target.socket, cover)
    elif isinstance(target, httpclient.HTTPClient):
        hold(target._async_client, cover)  # private: what the blocking client runs
    elif isinstance(target, tcpclient.TCPClient):
        _hold_tcp(target, cover, _connect)
    elif isinstance(target, simple_httpclient.SimpleAsyncHTTPClient):
        if target.active:
            cover.refuse(f"{len(target.active)} requests under way: tornado does not show their connections")
        _hold_tcp(target.tcp_client, cover, _connect_for_http)
    elif hasattr(target, "_multi"):
        _hold_curl(target, cover)
    else:
        cover.refuse(
            f"{type(target).__qualname__} is none of tornado's own HTTP clients: it shows no connections"
        )


def sockets(target: Any) -> list[Any]:
    """Return a stream's socket. The clients do not show theirs: the simple one keeps none open."""
    return [target.socket] if isinstance(target, iostream.IOStream) and target.socket is not None else []


def _hold_tcp(client: Any, cover: Cover, connect: Callable[..., Any]) -> None:
    put_cover(client, cover)
    wrap(client, "connect", connect)
    if hasattr(client, "_create_stream"):
        follow(client, "_create_stream", _protect_stream)


def _protect_stream(client: Any, cover: Cover, made: Any, *args: Any, **kwargs: Any) -> None:
    stream, _connected = made
    cover.protect(stream.socket)


async def _connect(client: Any, connect: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    stream = await connect(*args, **kwargs)
    cover = cover_of(client)
    if cover is not None:
        cover.protect(stream.socket)
    return stream


async def _connect_for_http(client: Any, connect: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    stream = await _connect(client, connect, *args, **kwargs)
    if cover_of(client) is not None:
        for name in ("read_bytes", "read_until", "read_until_close"):  # what bodies are read with
            wrap(stream, name, _read)
    return stream


async def _read(stream: Any, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Let the reading of a body fail where the connection died; the request ends as HTTPStreamClosedError.

    tornado takes the end of a connection for the end of a body that has no other,
    whatever ended it, and leaves a request whose body has a length or chunks waiting.
    """
    try:
        data = await read(*args, **kwargs)
    except iostream.StreamClosedError as end:
        if not isinstance(end.real_error, OSError):
            raise
    else:
        if not (stream.closed() and isinstance(stream.error, OSError)):
            return data
    # on_connection_close() would raise what it finds here, into a log, and the request would wait for ever.
    died, stream.error = stream.error, None
    raise httputil.HTTPInputError(f"the connection died: {died}") from died


def _hold_curl(client: Any, cover: Cover) -> None:
    """Stand before the callback to which libcurl names the descriptors it waits for."""
    import pycurl

    if put_cover(client, cover):
        # What tornado set itself: it lives as long as the client, and is not read back.
        client._multi.setopt(pycurl.M_SOCKETFUNCTION, _Descriptors(client, pycurl.POLL_REMOVE))
    for descriptor in client._fds:
        _protect_descriptor(descriptor, cover)


class _Descriptors:
    """Passes on what libcurl says, and protects each connection when it is first waited for.

    Whether it is another is seen each time: libcurl closes connections and opens others with the same
    descriptor without a word in between.
    """

    def __init__(self, client: Any, removed: int) -> None:
        self._client, self._removed = client, removed
        self._covered: dict[int, tuple[Cover, Any]] = {}  # by descriptor: with what, and its local address

    def __call__(self, event: int, descriptor: int, multi: Any, data: Any) -> None:
        self._client._handle_socket(event, descriptor, multi, data)
        cover = None if event == self._removed else cover_of(self._client)
        if cover is not None:
            address = _local_address(descriptor)  # numbers are used again, addresses hardly
            if address is not None and self._covered.get(descriptor) != (cover, address):
                self._covered[descriptor] = cover, address
                _protect_descriptor(descriptor, cover)


def _local_address(descriptor: int) -> Any:
    """Return the address of a descriptor in as few calls as can be; None if it is no socket."""
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    except OSError:  # libcurl's own, to wake itself
        return None
    try:
        return sock.getsockname()
    except OSError:
        return None
    finally:
        sock.detach()


def _protect_descriptor(descriptor: int, cover: Cover) -> None:
    try:
        sock = socket.socket(fileno=descriptor)  # finds out the family and type
    except OSError:
        return
    try:
        cover.protect(sock)
    finally:
        sock.detach()
