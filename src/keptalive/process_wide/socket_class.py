"""Socket classes: connect(), connect_ex() and setsockopt(), for the standard library's and gevent's.

Rule: the original is called once, with what the caller gave, and what it returns or
raises goes through unchanged. Options are set before the connect: then they hold for
a non-blocking one too, and no library that sets its own afterwards is overridden
without being looked at.
"""

from __future__ import annotations

from typing import Any

from keptalive.process_wide import ruling
from keptalive.process_wide.attributes import Attributes, looks_like
from keptalive.sockets import SocketType, own_word


def plain_classes() -> list[Any]:
    """Return the standard library's socket class, also where gevent put its own into the module."""
    return [
        cls
        for cls in SocketType.__subclasses__()
        if (cls.__module__, cls.__qualname__) == ("socket", "socket")
    ]


def put(cls: Any, attributes: Attributes) -> None:
    """Wrap a class with the methods of a socket."""
    for name in ("connect", "connect_ex"):
        attributes.wrap(cls, name, lambda original: _connecting(original, cls))
    attributes.wrap(cls, "setsockopt", lambda original: _setting(original, cls))


def _connecting(original: Any, cls: Any) -> Any:
    @looks_like(original, cls)
    def connect(self: Any, *args: Any) -> Any:
        rule = ruling.current
        if rule is None or not args or not isinstance(self, cls):
            return original(self, *args)
        ask_peer = rule.connecting(self, args[0])
        result = original(self, *args)
        if ask_peer and not result:  # connect() returns None, connect_ex() 0
            rule.connected(self)
        return result

    return connect


def _setting(original: Any, cls: Any) -> Any:
    @looks_like(original, cls)
    def setsockopt(self: Any, *args: Any) -> Any:
        rule = ruling.current
        if rule is None or args[:2] not in rule.guarded or own_word.get():
            return original(self, *args)
        stood = isinstance(self, cls) and rule.stands(self)
        result = original(self, *args)
        if stood:
            rule.reinstate(self)
        return result

    return setsockopt
