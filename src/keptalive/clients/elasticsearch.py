"""elasticsearch: clients, and the transport inside them, which has a client of another library for each node.

Rule: a transport sends through the nodes of its `node_pool`, and a node through its
`pool` (urllib3), `session` (requests) or `client` (httpx). Sniffing puts new nodes into
the pool by its `add()`. All of these are public. A node on aiohttp, the default of
AsyncElasticsearch, makes its session with its first request: until then it is refused.
Tested with 8.15 and later.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from keptalive.cover import Cover
from keptalive.seams import cover_of, follow, put_cover

_INSIDE = ("pool", "session", "client")


def serves(target: object) -> bool:
    """Tell whether *target* is a client or a transport."""
    return hasattr(_transport(target), "node_pool")


def hold(target: Any, cover: Cover) -> None:
    """Cover the connections of all nodes that are known and of those that become known."""
    nodes = _transport(target).node_pool
    hidden = {type(node).__qualname__ for node in nodes.all() if _inside(node) is None}
    if hidden:
        cover.refuse(
            f"{', '.join(sorted(hidden))} opens its session with the first request: use "
            f'keptalive.install(), or node_class="httpxasync"'
        )
    put_cover(nodes, cover)
    follow(nodes, "add", _added)
    for module, inside in _all_inside(nodes):
        module.hold(inside, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of all open connections."""
    found = _all_inside(_transport(target).node_pool)
    return [sock for module, inside in found for sock in module.sockets(inside)]


def _added(nodes: Any, cover: Cover, *_args: Any, **_kwargs: Any) -> None:
    for module, inside in _all_inside(nodes):
        if cover_of(inside) is None:
            module.hold(inside, cover)


def _transport(target: Any) -> Any:
    return getattr(target, "transport", target)


def _all_inside(nodes: Any) -> list[tuple[ModuleType, Any]]:
    found = (_inside(node) for node in nodes.all())
    return [inside for inside in found if inside is not None]


def _inside(node: Any) -> tuple[ModuleType, Any] | None:
    """Return what a node sends through, and the module that serves it."""
    for inner in (getattr(node, name, None) for name in _INSIDE):
        for cls in type(inner).__mro__:
            module = _module(cls.__module__.partition(".")[0])
            if module is not None:
                return module, inner
    return None


def _module(library: str) -> ModuleType | None:
    if library == "urllib3":
        from keptalive.clients import urllib3

        return urllib3
    if library == "requests":
        from keptalive.clients import requests

        return requests
    if library == "httpx":
        from keptalive.clients import httpx

        return httpx
    if library == "aiohttp":
        from keptalive.clients import aiohttp

        return aiohttp
    return None
