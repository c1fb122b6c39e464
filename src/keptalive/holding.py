"""hold() and read(): find the clients/ module that serves an object.

Rule: this file knows which library is served where, and nothing of how. A
module of `clients` is loaded only for an object of its library, which is loaded
already then. Each offers three functions:

    serves(target) -> bool              is this one of mine?
    hold(target, cover) -> None         cover what is open, pooled and to come; Uncovered before any change
    sockets(target) -> list of sockets  what is open now

What of a target cannot be covered goes to `cover.refuse()`, which raises or, under
strict=False, lets the rest be covered.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from types import FunctionType, MethodType, ModuleType
from typing import Any, TypeVar, overload

from keptalive.clients import plain_sockets
from keptalive.cover import Cover
from keptalive.errors import KeptaliveWarning, Uncovered, UnknownTarget
from keptalive.policy import Policy
from keptalive.sockets import SocketLike, SocketState, is_tcp, read_socket

T = TypeVar("T")

# The top-level package that defines a class -> the module of `clients` that serves its objects.
# Sockets, whosever they are, are told by their methods and go to plain_sockets.
SERVED_BY = {
    "http": "http_client",
    "urllib": "urllib_request",
    "urllib3": "urllib3",
    "requests": "requests",
    "httpcore": "httpcore",
    "httpcore2": "httpcore",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "aiohttp": "aiohttp",
    "asyncio": "asyncio_streams",
    "builtins": "asyncio_streams",  # the (reader, writer) of asyncio.open_connection()
    "uvloop": "asyncio_streams",
    "trio": "trio_streams",
    "anyio": "anyio",
    "botocore": "botocore",
    "boto3": "botocore",
    "openai": "sdks",
    "anthropic": "sdks",
    "kubernetes": "kubernetes",
    "elasticsearch": "elasticsearch",
    "elastic_transport": "elasticsearch",
    "tornado": "tornado",
    "pycurl": "pycurl",
    "websockets": "websockets",
    "grpc": "grpc",
}


def hold(target: T, policy: Policy | None = None, *, strict: bool = True) -> T:
    """Cover every connection that *target* has open, has pooled, or will open; return *target* itself.

    target: a TCP socket, an HTTP connection, session, client, connector, opener or
        SDK client of a supported library. It is changed in place: redirects, retries,
        reconnects and proxies are covered, and nothing else about it changes.
    policy: set exactly. None is the default policy (45 s idle, 15 s interval, 9 probes,
        or KEPTALIVE_POLICY), which leaves better protected sockets alone.
    strict: raise Uncovered, before anything is changed, if a part of the target cannot
        be covered; False covers the rest and warns (KeptaliveWarning) instead.

    May be called again, with another policy too. Copies and pickles of a held object
    are new ones. Raises UnknownTarget (a TypeError) for what keptalive does not know,
    PolicyError for a value that this OS does not take.
    """
    served_by = _server(target)
    cover = Cover(policy, strict=strict)
    if cover.off:
        return target
    try:
        served_by.hold(target, cover)
    except Uncovered as error:
        if strict:
            raise
        cover.uncovered.append(str(error))
    for problem in cover.uncovered:
        warnings.warn(problem, KeptaliveWarning, stacklevel=2)
    return target


@overload
def read(target: SocketLike) -> SocketState: ...
@overload
def read(target: Any) -> list[SocketState]: ...
def read(target: Any) -> SocketState | list[SocketState]:
    """Return what the kernel holds for the open connections of *target*.

    A socket gives its state; anything else that hold() takes, and a response still
    being read, gives a list with one state for each open TCP connection. Raises
    UnknownTarget (a TypeError) for what keptalive does not know.
    """
    if plain_sockets.serves(target):
        return read_socket(target)
    found = _server(target).sockets(target)
    return [read_socket(sock) for sock in found if is_tcp(sock) and sock.fileno() != -1]


def _server(target: object) -> ModuleType:
    """Return the module of `clients` that serves *target*: the most derived class decides."""
    if plain_sockets.serves(target):
        return plain_sockets
    for cls in type(target).__mro__:
        name = SERVED_BY.get(cls.__module__.partition(".")[0])
        if name is not None:
            module = import_module(f"keptalive.clients.{name}")
            if module.serves(target):
                return module
    kinds = {ModuleType: "module", type: "class", FunctionType: "function", MethodType: "method"}
    for what in (name for kind, name in kinds.items() if isinstance(target, kind)):
        raise UnknownTarget(
            f"a {what} has no connections of its own: hold a session or client object, "
            f"or use keptalive.install(), which covers every connection of this process"
        )
    raise UnknownTarget(
        f"hold() does not know {type(target).__module__}.{type(target).__qualname__} objects; "
        f"keptalive.install() covers every connection of this process, whatever opens it"
    )
