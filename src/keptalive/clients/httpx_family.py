"""What httpx and httpx2 have in common, which is everything.

Rule: works on either library by its shape; `httpx.py` and `httpx2.py` name the
library. A client chooses a transport for each request, and behind a transport
stands a pool of httpcore or a session of aiohttp. Covered are all transports that
the client has, those that they wrap, and any that the client chooses later.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from keptalive.clients import httpcore
from keptalive.cover import Cover
from keptalive.policy import Policy
from keptalive.seams import hand_on, put_cover

# The module of `clients` that covers it, and the pool or transport to be covered.
Part = tuple[ModuleType, Any]


class Library:
    """serves(), hold() and sockets() for the objects of one of the two."""

    def __init__(self, library: ModuleType) -> None:
        self._clients = (library.Client, library.AsyncClient)
        self._transports = (library.BaseTransport, library.AsyncBaseTransport)
        self._response = library.Response
        # What these answer has never seen a socket.
        self._without_sockets = (library.MockTransport, library.ASGITransport, library.WSGITransport)

    def serves(self, target: object) -> bool:
        """Tell whether *target* is a client, a transport or a response of this library."""
        return isinstance(target, (*self._clients, *self._transports, self._response))

    def hold(self, target: Any, cover: Cover) -> None:
        """Cover a client with all its transports, one transport, or the connection of a response."""
        if isinstance(target, self._response):
            for stream in _streams_of(target):
                httpcore.protect(stream, cover)
            return
        parts = self._parts(target, cover.refuse)
        for transport in self._chosen_from(target):
            put_cover(transport, cover)
        if isinstance(target, self._clients):
            put_cover(target, cover)
            hand_on(target, "_transport_for_url", self._hold_later)
        for module, part in parts:
            module.hold(part, cover)

    def sockets(self, target: Any) -> list[Any]:
        """Return the sockets of all open connections; of a response, until it is closed."""
        if isinstance(target, self._response):
            found = [stream.get_extra_info("socket") for stream in _streams_of(target)]
            return [sock for sock in found if sock is not None]
        parts = self._parts(target, refuse=str)  # what has no part has no sockets that can be seen
        return [sock for module, part in parts for sock in module.sockets(part)]

    def _hold_later(self, transport: Any, cover: Cover) -> None:
        """Cover a transport that the client chose and did not have when it was held."""
        put_cover(transport, cover)
        for module, part in self._parts(transport, cover.complain):
            module.hold(part, cover)

    def _chosen_from(self, target: Any) -> list[Any]:
        """Return the transports that a client chooses from; a transport itself."""
        if isinstance(target, self._transports):
            return [target]
        return [t for t in (target._transport, *target._mounts.values()) if t is not None]

    def _parts(self, target: Any, refuse: Callable[[str], object]) -> list[Part]:
        """Return what is to be covered behind a client or transport; *refuse* what cannot be seen."""
        parts: list[Part] = []
        found: list[Any] = self._chosen_from(target)
        for transport in found:  # grows meanwhile
            wrapped = [t for t in vars(transport).values() if isinstance(t, self._transports)]
            found += [t for t in wrapped if not any(t is other for other in found)]
            pool = getattr(transport, "_pool", None)
            if httpcore.serves(pool):
                parts.append((httpcore, pool))
            elif hasattr(transport, "get_client"):
                from keptalive.clients import httpx_aiohttp

                parts.append((httpx_aiohttp, transport))
            elif not wrapped and not isinstance(transport, self._without_sockets):
                kind = type(transport)
                refuse(
                    f"{kind.__module__}.{kind.__qualname__} shows no connection pool: what it connects "
                    f"cannot be covered; use keptalive.install()"
                )
        return parts


class CoversItself:
    """A transport that covers its own connections, through proxies too: the base of our HTTPTransports."""

    def __init__(self, *args: Any, policy: Policy | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cover = Cover(policy)
        put_cover(self, cover)
        httpcore.hold(self._pool, cover)  # type: ignore[attr-defined]  # the transport it is mixed into has one


def _streams_of(response: Any) -> list[Any]:
    """Return the network stream under a response: none if it is closed, or never had one."""
    stream = None if response.is_closed else response.extensions.get("network_stream")
    return [] if stream is None else [stream]
