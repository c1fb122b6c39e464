"""TLS sockets, the standard library's and gevent's: no answer is cut short in silence.

Rule: nothing is changed but the flag that tells whether a ragged end of file may
pass for an end; `ends.watch_end` says why. asyncio's TLS has no such flag and
raises by itself.
"""

from __future__ import annotations

from typing import Any

from keptalive.process_wide import ruling
from keptalive.process_wide.attributes import Attributes, looks_like

MODULES = ("ssl", "gevent.ssl")


def put(module: Any, attributes: Attributes) -> None:
    """Wrap SSLContext.wrap_socket, where every SSLSocket comes from."""
    attributes.wrap(module.SSLContext, "wrap_socket", lambda original: _wrapping(original, module.SSLContext))


def _wrapping(original: Any, cls: Any) -> Any:
    @looks_like(original, cls)
    def wrap_socket(self: Any, *args: Any, **kwargs: Any) -> Any:
        tls = original(self, *args, **kwargs)
        rule = ruling.current
        if rule is not None and not tls.server_side:
            rule.encrypted(tls)
        return tls

    return wrap_socket
