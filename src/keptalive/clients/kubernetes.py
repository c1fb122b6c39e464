"""kubernetes: an ApiClient, and what is made with one (CoreV1Api and its like, a DynamicClient).

Rule: every request goes through the `rest_client` of an ApiClient, which has one pool
manager of urllib3 and keeps it for life; public names, all of them. What opens
connections of its own (kubernetes.aio, exec and port-forward over websockets) is not
reached from there. Tested with 29 and later.
"""

from __future__ import annotations

from typing import Any

from keptalive.clients import urllib3
from keptalive.cover import Cover

# Where an API object has its ApiClient, and a DynamicClient.
_INSIDE = ("api_client", "client")


def serves(target: object) -> bool:
    """Tell whether *target* is an ApiClient or is made with one."""
    return _rest_client(target) is not None


def hold(target: Any, cover: Cover) -> None:
    """Cover the pool manager."""
    manager = _rest_client(target).pool_manager
    if not urllib3.serves(manager):
        cover.refuse("kubernetes.aio opens its session with the first request; use keptalive.install()")
        return
    urllib3.hold(manager, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of all open connections."""
    manager = _rest_client(target).pool_manager
    return urllib3.sockets(manager) if urllib3.serves(manager) else []


def _rest_client(target: Any) -> Any:
    for candidate in (target, *(getattr(target, name, None) for name in _INSIDE)):
        found = getattr(candidate, "rest_client", None)
        if hasattr(found, "pool_manager"):
            return found
    return None
