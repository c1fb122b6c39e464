"""asyncio on Windows: its default loop connects with ConnectEx, past socket.connect().

Rule: written for, not tested on: asyncio.windows_events exists on Windows only.
"""

from __future__ import annotations

from typing import Any

from keptalive.process_wide import ruling
from keptalive.process_wide.attributes import Attributes, looks_like

MODULES = ("asyncio.windows_events",)


def put(module: Any, attributes: Attributes) -> None:
    """Wrap IocpProactor.connect."""
    attributes.wrap(
        module.IocpProactor, "connect", lambda original: _connecting(original, module.IocpProactor)
    )


def _connecting(original: Any, cls: Any) -> Any:
    @looks_like(original, cls)
    def connect(self: Any, conn: Any, address: Any) -> Any:
        rule = ruling.current
        if rule is not None:
            rule.connecting(conn, address)  # asyncio has resolved names by now
        return original(self, conn, address)

    return connect
