"""requests, 2.31 and later: sessions, adapters and responses.

Rule: a session asks `get_adapter(url)` for each request, redirects included, and
the adapter `get_connection_with_tls_context()` (before 2.32.2 `get_connection()`)
for a pool of urllib3: directly, through an HTTP or a SOCKS proxy, from the
environment or not. Both are public, so adapters mounted later and adapters with
pools of their own are covered without knowing them.

    session.mount("https://", keptalive.clients.requests.HTTPAdapter(policy))
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests.adapters

from keptalive.clients import urllib3
from keptalive.cover import Cover
from keptalive.policy import Policy
from keptalive.seams import follow, hand_on, put_cover

# What an adapter's send() asks for a pool.
_POOL_SOURCES = ("get_connection_with_tls_context", "get_connection")


class HTTPAdapter(requests.adapters.HTTPAdapter):
    """requests.adapters.HTTPAdapter with TCP keepalive, through proxies too.

    policy: None is the default one. Further arguments by name, as there. TCP_NODELAY
        stays as requests has it. May be pickled, with the sessions it is mounted on.
    """

    __attrs__ = [*requests.adapters.HTTPAdapter.__attrs__, "policy"]  # noqa: RUF012  # as there

    def __init__(self, policy: Policy | None = None, **kwargs: Any) -> None:
        self.policy = policy
        super().__init__(**kwargs)
        hold(self, Cover(policy))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what pickle kept, and cover the new pools."""
        super().__setstate__(state)
        hold(self, Cover(self.policy))


def serves(target: object) -> bool:
    """Tell whether *target* is a session, an adapter or a response."""
    return isinstance(target, (requests.Session, requests.adapters.BaseAdapter, requests.Response))


def hold(target: Any, cover: Cover) -> None:
    """Cover a session with the adapters it has and gets, one adapter, or the connection of a response."""
    if isinstance(target, requests.Session):
        put_cover(target, cover)
        hand_on(target, "get_adapter", _hold_adapter)
        for adapter in target.adapters.values():
            _hold_adapter(adapter, cover)
    elif isinstance(target, requests.adapters.BaseAdapter):
        _hold_adapter(target, cover)
    elif urllib3.serves(target.raw):
        urllib3.hold(target.raw, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of all idle connections, or the one a response is still being read from."""
    if isinstance(target, requests.Session):
        return [sock for adapter in target.adapters.values() for sock in sockets(adapter)]
    if isinstance(target, requests.adapters.BaseAdapter):
        return [sock for manager in _managers(target) for sock in urllib3.sockets(manager)]
    return urllib3.sockets(target.raw) if urllib3.serves(target.raw) else []


def _hold_adapter(adapter: Any, cover: Cover) -> None:
    """Cover the pools an adapter has and asks for; one that has none may still be a mock, without sockets."""
    put_cover(adapter, cover)
    sources = [name for name in _POOL_SOURCES if hasattr(adapter, name)]
    for name in sources:
        hand_on(adapter, name, urllib3.hold)
    if not sources:
        follow(adapter, "send", _answered)
    for manager in _managers(adapter):
        urllib3.hold(manager, cover)


def _answered(adapter: Any, cover: Cover, response: Any, *_args: Any, **_kwargs: Any) -> None:
    """Say so if an adapter that showed no pool has a connection after all, and protect what is left of it."""
    for sock in sockets(response):
        cover.protect(sock)
        cover.complain(
            f"{type(adapter).__module__}.{type(adapter).__qualname__} opens connections of its own: this one "
            f"was not protected until the answer began; use keptalive.install()"
        )


def _managers(adapter: Any) -> Iterator[Any]:
    """Yield the pool managers that an adapter has now: for direct connections, and one for each proxy."""
    for manager in (getattr(adapter, "poolmanager", None), *getattr(adapter, "proxy_manager", {}).values()):
        if urllib3.serves(manager):
            yield manager
