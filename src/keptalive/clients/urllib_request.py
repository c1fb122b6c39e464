"""urllib.request: openers, their handlers for http: and https:, and answers still being read.

Rule: handlers make a new connection for each request, in `do_open(connection_class,
request)`; there the class is replaced by one that makes held connections. Proxies,
environment proxies included, and redirects pass through the same method.

    opener = build_opener(HTTPHandler(policy), HTTPSHandler(policy))

ftp: and file: are left as they are.
"""

from __future__ import annotations

import urllib.request
import urllib.response
from functools import partial
from typing import Any

from keptalive.clients import http_client
from keptalive.cover import Cover
from keptalive.policy import Policy
from keptalive.seams import cover_of, follow, put_cover, wrap


class HTTPHandler(urllib.request.HTTPHandler):
    """urllib.request.HTTPHandler with TCP keepalive; *policy* None is the default one."""

    def __init__(self, policy: Policy | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        hold(self, Cover(policy))


class HTTPSHandler(urllib.request.HTTPSHandler):
    """urllib.request.HTTPSHandler with TCP keepalive; *policy* None is the default one.

    Further arguments as there: `context`, `check_hostname`, `debuglevel`.
    """

    def __init__(self, policy: Policy | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        hold(self, Cover(policy))


def serves(target: object) -> bool:
    """Tell whether *target* is an opener, a handler for http: or https:, or an answer."""
    kinds = (urllib.request.OpenerDirector, urllib.request.AbstractHTTPHandler, urllib.response.addbase)
    return isinstance(target, kinds)


def hold(target: Any, cover: Cover) -> None:
    """Cover an opener with all its handlers, those added later too, or one handler."""
    if isinstance(target, urllib.request.OpenerDirector):
        handlers: list[Any] = vars(target)["handlers"]  # public since Python 2, but unknown to typeshed
        for handler in handlers:
            _refuse_strangers(handler, cover)
        put_cover(target, cover)
        follow(target, "add_handler", _handler_added)
        for handler in handlers:
            _hold_handler(handler, cover)
    elif isinstance(target, urllib.request.AbstractHTTPHandler):
        _hold_handler(target, cover)
    else:
        for sock in sockets(target):
            cover.protect(sock)


def sockets(target: Any) -> list[Any]:
    """Return the socket an answer is still being read from; an opener keeps no connections."""
    while isinstance(target, urllib.response.addbase):  # an HTTPError around an answer, for one
        target = target.fp
    return http_client.sockets(target) if http_client.serves(target) else []


def _hold_handler(handler: Any, cover: Cover) -> None:
    if isinstance(handler, urllib.request.AbstractHTTPHandler):
        put_cover(handler, cover)
        wrap(handler, "do_open", _open_held)


def _handler_added(_opener: Any, cover: Cover, _result: Any, handler: Any) -> None:
    if cover_of(handler) is None:
        _hold_handler(handler, cover)


def _open_held(handler: Any, original: Any, connection_class: Any, *args: Any, **kwargs: Any) -> Any:
    return original(partial(_connection, handler, connection_class), *args, **kwargs)


def _connection(handler: Any, connection_class: Any, *args: Any, **kwargs: Any) -> Any:
    connection = connection_class(*args, **kwargs)
    cover = cover_of(handler)
    if cover is not None and http_client.serves(connection):
        http_client.hold(connection, cover)
    return connection


def _refuse_strangers(handler: Any, cover: Cover) -> None:
    """Refuse a handler that opens http: or https: by means of its own."""
    opens = any(hasattr(type(handler), f"{scheme}_open") for scheme in ("http", "https"))
    if opens and not isinstance(handler, urllib.request.AbstractHTTPHandler):
        cover.refuse(
            f"the connections of {type(handler).__module__}.{type(handler).__qualname__} cannot be seen; "
            f"use keptalive.install()"
        )
