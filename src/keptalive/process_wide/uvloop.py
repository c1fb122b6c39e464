"""uvloop: connections that libuv opens, which no Python socket sees.

Rule: protected when the connection is up, through the socket that the transport
shows; one given as `sock=` was connected in Python and is covered there.
"""

from __future__ import annotations

from typing import Any

from keptalive.process_wide import ruling
from keptalive.process_wide.attributes import Attributes, looks_like

MODULES = ("uvloop",)


def put(module: Any, attributes: Attributes) -> None:
    """Wrap Loop.create_connection; uvloop.loop.Loop below it is a C type and cannot be changed."""
    attributes.wrap(module.Loop, "create_connection", lambda original: _opening(original, module.Loop))


def _opening(original: Any, cls: Any) -> Any:
    @looks_like(original, cls)
    async def create_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await original(self, *args, **kwargs)
        rule = ruling.current
        if rule is not None and kwargs.get("sock") is None:
            rule.connected(transport.get_extra_info("socket"))
        return transport, protocol

    return create_connection
