"""gevent's own socket class, with and without monkey-patching, in either order.

Rule: it does not inherit from the standard library's class, so it is wrapped
beside it; which of the two `socket.socket` names does not matter then.
"""

from __future__ import annotations

from typing import Any

from keptalive.process_wide import socket_class
from keptalive.process_wide.attributes import Attributes

MODULES = ("gevent._socket3",)


def put(module: Any, attributes: Attributes) -> None:
    """Wrap the class."""
    socket_class.put(module.socket, attributes)
