"""The SDKs of OpenAI and Anthropic, synchronous and asynchronous, Azure, Bedrock and Vertex included.

Rule: both are made by the same generator and stand on one httpx client each, `_client`
(httpx2's in new versions, httpx's in old ones, or what was given as `http_client=`),
which with_options() and copy() share. So that client is held, retries and all.
Supported: openai 1.40 and later, anthropic 0.40 and later.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from keptalive.cover import Cover

# A client's httpx client; what with_raw_response and a stream lead to, both public.
_INSIDE = ("_client", "http_response", "response")


def serves(target: object) -> bool:
    """Tell whether *target* is an SDK client, or a stream or raw response of one."""
    return any(_module(inner) is not None for inner in _inside(target))


def hold(target: Any, cover: Cover) -> None:
    """Cover the httpx client inside, or the connection of a response."""
    for inner in _inside(target):
        if (module := _module(inner)) is not None:
            module.hold(inner, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of all open connections."""
    inside = ((_module(inner), inner) for inner in _inside(target))
    return [sock for module, inner in inside if module is not None for sock in module.sockets(inner)]


def _inside(target: Any) -> list[Any]:
    return [getattr(target, name) for name in _INSIDE if hasattr(target, name)]


def _module(inner: Any) -> ModuleType | None:
    """Return the module of `clients` for an object of httpx or httpx2; None for any other."""
    for cls in type(inner).__mro__:
        library = cls.__module__.partition(".")[0]
        if library == "httpx2":
            from keptalive.clients import httpx2

            return httpx2
        if library == "httpx":
            from keptalive.clients import httpx

            return httpx
    return None
