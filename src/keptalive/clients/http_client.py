"""The standard library's http.client: connections, and answers still being read.

Rule: a connection is covered through its own `connect()`, whoever calls it: you,
the first request, or the reconnect after the server closed. The socket is set as
soon as it is made, before CONNECT to a proxy and the TLS handshake, where the
class lets us see it (`_create_connection`, in urllib3 `_new_conn`; both private),
and in any case once `connect()` is through.

    connection = keptalive.clients.http_client.HTTPSConnection("example.org")

is the same as hold() on the standard library's, for those who like subclasses.
"""

from __future__ import annotations

import http.client
from typing import Any

from keptalive.cover import Cover
from keptalive.ends import watch_end
from keptalive.policy import Policy
from keptalive.seams import follow, put_cover

# Methods that return the connected socket before anything is said on it.
_MAKERS = ("_new_conn", "_create_connection")
_SET = "_keptalive_set"  # on a connection, while it connects: its socket has been seen


class _Covered:
    def __init__(self, *args: Any, policy: Policy | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hold(self, Cover(policy))


class HTTPConnection(_Covered, http.client.HTTPConnection):
    """http.client.HTTPConnection with TCP keepalive; *policy* None is the default one."""


class HTTPSConnection(_Covered, http.client.HTTPSConnection):
    """http.client.HTTPSConnection with TCP keepalive; *policy* None is the default one."""


def serves(target: object) -> bool:
    """Tell whether *target* is a connection or a response."""
    return isinstance(target, (http.client.HTTPConnection, http.client.HTTPResponse))


def hold(target: Any, cover: Cover) -> None:
    """Cover a connection now and each time it connects; of a response, the connection it is read from."""
    if isinstance(target, http.client.HTTPConnection):
        put_cover(target, cover)
        follow(target, "connect", _connected)
        for maker in _MAKERS:
            if hasattr(target, maker):
                follow(target, maker, _made)
                break
    for sock in sockets(target):
        cover.protect(sock)


def sockets(target: Any) -> list[Any]:
    """Return the socket of an open connection, or the one a response is still being read from."""
    if isinstance(target, http.client.HTTPResponse):
        # After "Connection: close" the connection has let go of the socket: only the response's file has it.
        sock = getattr(getattr(target.fp, "raw", None), "_sock", None)
    else:
        sock = target.sock
    return [] if sock is None else [tcp_socket(sock)]


def tcp_socket(sock: Any) -> Any:
    """Return the socket under urllib3's wrappers: TLS inside TLS, and pyOpenSSL."""
    while not hasattr(sock, "family") and hasattr(sock, "socket"):
        sock = sock.socket
    return sock


def _made(connection: Any, cover: Cover, sock: Any, *_args: Any, **_kwargs: Any) -> None:
    cover.protect(tcp_socket(sock))
    setattr(connection, _SET, True)


def _connected(connection: Any, cover: Cover, _result: Any, *_args: Any, **_kwargs: Any) -> None:
    sock = tcp_socket(connection.sock)
    if getattr(connection, _SET, False):
        setattr(connection, _SET, False)
        watch_end(sock)  # TLS has begun since
    else:
        cover.protect(sock)
