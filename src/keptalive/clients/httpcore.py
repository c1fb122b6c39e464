"""Connection pools of httpcore and httpcore2, what httpx and httpx2 stand on.

Rule: works on any httpcore by its shape and imports none, so that one piece of
code serves both. A pool opens every connection, proxied or not, through its
network backend: a backend of ours stands in front of that one, and streams that
are open already are found by walking the pool. The names used here are private
but for `connections` and `get_extra_info`; they are the same from httpcore 1.0.0
to 1.0.9 and in all of httpcore2, and the tests run against the oldest and newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from keptalive.cover import Cover
from keptalive.ends import watch_end
from keptalive.seams import follow, put_cover, wrap


def serves(target: object) -> bool:
    """Tell whether *target* is a connection pool (a proxy's too) whose connections can be seen."""
    return hasattr(target, "_network_backend") and hasattr(target, "connections")


def hold(target: Any, cover: Cover) -> None:
    """Cover the connections of a pool: those open, those it is about to make, and those to come."""
    backend = target._network_backend
    if isinstance(backend, _Backend):
        backend.cover = cover
    else:
        kind = _AsyncBackend if hasattr(target, "handle_async_request") else _Backend
        backend = target._network_backend = kind(backend, cover)
    for connection in target.connections:
        for layer in _layers(connection):
            if hasattr(layer, "_network_backend"):
                layer._network_backend = backend
        if not _protect_open(connection, cover):
            # Another thread or task is connecting it; with each request that comes or goes the pool asks:
            put_cover(connection, cover)
            follow(connection, "is_closed", _connected)


def _connected(connection: Any, cover: Cover, _closed: bool) -> None:
    """Protect a connection that was being made when its pool was held."""
    if _protect_open(connection, cover):
        del connection.is_closed  # the seam


def _protect_open(connection: Any, cover: Cover) -> bool:
    """Protect a pool's connection; False if it has no network stream yet."""
    found = _streams(connection)
    for stream in found:
        protect(stream, cover)
    return bool(found)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of the pool's open connections."""
    streams = (stream for connection in target.connections for stream in _streams(connection))
    found = [stream.get_extra_info("socket") for stream in streams]
    return [sock for sock in found if sock is not None]


def protect(stream: Any, cover: Cover) -> None:
    """Protect the socket under a network stream; a stream without one (a mock's) needs none. Never raises."""
    try:
        cover.protect(stream.get_extra_info("socket"))
        _watch_tls(stream)
    except Exception as error:  # noqa: BLE001  # runs inside a connect: fail open, as cover does
        cover.complain(f"a connection is not protected: {error!r}")


def _layers(connection: Any) -> Iterator[Any]:
    """Yield a pool's connection and what it wraps: through a proxy, to the proxy, HTTP/1.1 or HTTP/2."""
    while connection is not None:
        yield connection
        connection = getattr(connection, "_connection", None)


def _streams(connection: Any) -> list[Any]:
    """Return the network stream of a pool's connection, if it is open."""
    layers = (layer for layer in _layers(connection) if hasattr(layer, "_network_stream"))
    return [layer._network_stream for layer in layers if not layer.is_closed()]


def _watch_tls(stream: Any) -> None:
    """Have a synchronous stream watch the end of the TLS one it becomes: start_tls() makes another socket.

    Asynchronous streams report a killed connection by themselves, on every Python.
    """
    if not hasattr(stream, "aclose"):
        wrap(stream, "start_tls", _start_tls)


def _start_tls(stream: Any, start_tls: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    tls = start_tls(*args, **kwargs)
    watch_end(tls.get_extra_info("socket"))
    _watch_tls(tls)  # a proxy spoken to over TLS, and TLS through it
    return tls


class _Backend:
    """Connects through the pool's own backend and protects what it returns."""

    def __init__(self, backend: Any, cover: Cover) -> None:
        self.backend = backend
        self.cover = cover

    def connect_tcp(self, *args: Any, **kwargs: Any) -> Any:
        """Return the backend's stream, protected."""
        stream = self.backend.connect_tcp(*args, **kwargs)
        protect(stream, self.cover)
        return stream

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> Any:
        """Return the backend's stream (an awaitable of it): a Unix socket needs no cover."""
        return self.backend.connect_unix_socket(*args, **kwargs)

    def sleep(self, seconds: float) -> Any:
        """Wait between retries, as the backend does."""
        return self.backend.sleep(seconds)


class _AsyncBackend(_Backend):
    async def connect_tcp(self, *args: Any, **kwargs: Any) -> Any:
        """Return the backend's stream, protected."""
        stream = await self.backend.connect_tcp(*args, **kwargs)
        protect(stream, self.cover)
        return stream
