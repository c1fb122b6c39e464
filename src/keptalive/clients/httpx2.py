"""httpx2: clients, transports and responses in flight, synchronous and asynchronous.

Rule: names the library and nothing else; `httpx_family` knows how. Supported:
httpx2 2.0 and later.
"""

from __future__ import annotations

import httpx2

from keptalive.clients.httpx_family import CoversItself, Library

_library = Library(httpx2)
serves = _library.serves
hold = _library.hold
sockets = _library.sockets


class HTTPTransport(CoversItself, httpx2.HTTPTransport):
    """httpx2's transport with keepalive on every connection, those through proxies included.

    Takes what httpx2.HTTPTransport takes, and `policy` (None is the default policy).
    httpx2's own `socket_options` are lost where a proxy is in between. A client that is given a
    transport ignores HTTP_PROXY and its kin: give it `mounts` with a proxied transport for each,
    or use keptalive.hold(client), which keeps them. Raises PolicyError for a value
    that this OS does not take.
    """


class AsyncHTTPTransport(CoversItself, httpx2.AsyncHTTPTransport):
    """The same for an AsyncClient, on asyncio, uvloop and trio."""
