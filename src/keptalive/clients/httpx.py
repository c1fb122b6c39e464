"""httpx: clients, transports and responses in flight, synchronous and asynchronous.

Rule: names the library and nothing else; `httpx_family` knows how. Supported:
httpx 0.27 and later, on httpcore 1.0.0 and later.
"""

from __future__ import annotations

import httpx

from keptalive.clients.httpx_family import CoversItself, Library

_library = Library(httpx)
serves = _library.serves
hold = _library.hold
sockets = _library.sockets


class HTTPTransport(CoversItself, httpx.HTTPTransport):
    """httpx's transport with keepalive on every connection, those through proxies included.

    Takes what httpx.HTTPTransport takes, and `policy` (None is the default policy).
    httpx's own `socket_options` are lost where a proxy is in between. A client that is given a
    transport ignores HTTP_PROXY and its kin: give it `mounts` with a proxied transport for each,
    or use keptalive.hold(client), which keeps them. Raises PolicyError for a value
    that this OS does not take.
    """


class AsyncHTTPTransport(CoversItself, httpx.AsyncHTTPTransport):
    """The same for an AsyncClient, on asyncio, uvloop and trio."""
