"""urllib3, 1.26 to 2.x: managers, pools, connections and responses.

Rule: a manager makes pools and a pool makes connections, each by one method
(`_new_pool`, which urllib3 documents for overriding, and `_new_conn`), so those two
are where a cover is handed on; a proxy, CONNECT or SOCKS changes nothing in that.
What exists already is found by walking the manager and its pools; a connection
that is out on a request when its pool is first held is covered when it comes back.
"""

from __future__ import annotations

import weakref
from typing import Any

import urllib3
from urllib3.response import HTTPResponse

from keptalive.clients import http_client
from keptalive.cover import Cover
from keptalive.seams import cover_of, follow, hand_on, put_cover

_MADE = "_keptalive_made"  # on a held pool: weak references to the connections it made since


def serves(target: object) -> bool:
    """Tell whether *target* is a manager (proxied or not), a pool, a connection or a response."""
    return isinstance(
        target, (urllib3.PoolManager, urllib3.HTTPConnectionPool, HTTPResponse)
    ) or http_client.serves(target)


def hold(target: Any, cover: Cover) -> None:
    """Cover a manager with its pools, a pool with its connections, or one connection."""
    if isinstance(target, urllib3.PoolManager):
        put_cover(target, cover)
        hand_on(target, "_new_pool", hold)
        for pool in _pools(target):
            hold(pool, cover)
    elif isinstance(target, urllib3.HTTPConnectionPool):
        _hold_pool(target, cover)
    elif isinstance(target, HTTPResponse):
        for part in _parts(target):
            http_client.hold(part, cover)
    else:
        http_client.hold(target, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of a manager's or pool's connections, or the one a response is being read from.

    Of a pool that is not held only the idle connections can be found.
    """
    if isinstance(target, urllib3.PoolManager):
        return [sock for pool in _pools(target) for sock in sockets(pool)]
    if isinstance(target, urllib3.HTTPConnectionPool):
        return [sock for connection in _connections(target) for sock in http_client.sockets(connection)]
    if isinstance(target, HTTPResponse):
        return [sock for part in _parts(target) for sock in http_client.sockets(part)][:1]
    return http_client.sockets(target)


def _hold_pool(pool: Any, cover: Cover) -> None:
    if cover_of(pool) is None:
        setattr(pool, _MADE, set())  # before the cover, with which another thread may make a connection
    put_cover(pool, cover)
    follow(pool, "_new_conn", _connection_made)
    if pool.pool is not None and pool.num_connections:  # None once it is closed
        put_cover(pool.pool, cover)
        follow(pool.pool, "put", _came_back)
    for connection in _connections(pool):
        http_client.hold(connection, cover)


def _connection_made(pool: Any, cover: Cover, connection: Any, *_args: Any, **_kwargs: Any) -> None:
    http_client.hold(connection, cover)
    made: set[Any] = getattr(pool, _MADE)
    made.add(weakref.ref(connection, made.discard))


def _came_back(_queue: Any, cover: Cover, _result: Any, connection: Any, *_args: Any, **_kwargs: Any) -> None:
    if connection is not None and cover_of(connection) is None:
        http_client.hold(connection, cover)


def _pools(manager: Any) -> list[Any]:
    found = [manager.pools.get(key) for key in manager.pools.keys()]  # noqa: SIM118  # it is no dict
    return [pool for pool in found if pool is not None]


def _connections(pool: Any) -> list[Any]:
    """Return the connections that wait in the pool (an empty place is None), and those it made while held."""
    waiting = [] if pool.pool is None else list(pool.pool.queue)
    made = [reference() for reference in list(getattr(pool, _MADE, ()))]
    return list(
        {id(connection): connection for connection in (*waiting, *made) if connection is not None}.values()
    )


def _parts(response: Any) -> list[Any]:
    """Return the http.client response behind a response and its connection, as far as it still has them."""
    return [part for part in (response._original_response, response.connection) if http_client.serves(part)]
