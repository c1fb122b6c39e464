"""An exception and all that it was made from, and where in a connection's life each of them was raised.

Rule: reads exceptions, never changes them, and imports no client library: what it knows of one are names of
classes and modules. Names of functions are looked at only in frames of libraries whose habits are known.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any, Literal

#: Where in its life a connection was; None: not to be told.
Phase = Literal["connecting", "established"]

# Far more than any client nests; a chain that is longer is somebody's own doing.
_MOST = 200
# Attributes that hold what the library itself ran into: of urllib3's MaxRetryError and urllib's URLError, of
# tornado's StreamClosedError, of aiohttp's ClientConnectorError.
_HOLD_AN_ORIGIN = ("reason", "real_error", "_os_error")


@dataclass(frozen=True)
class Link:
    """One exception of a chain, and those that were made from it, the outermost first."""

    error: BaseException
    wrappers: tuple[BaseException, ...] = ()

    @property
    def path(self) -> tuple[BaseException, ...]:
        """The exception and its wrappers, the innermost first."""
        return (self.error, *reversed(self.wrappers))


def chain(error: BaseException) -> Iterator[Link]:
    """Yield an exception and its origins: what it names as its cause before what merely happened before it.

    The members of an exception group are not followed: they are several, not one.
    """
    seen: set[int] = set()
    waiting = [Link(error)]
    while waiting and len(seen) < _MOST:
        link = waiting.pop()
        if id(link.error) in seen:
            continue
        seen.add(id(link.error))
        yield link
        wrappers = (*link.wrappers, link.error)
        waiting += [Link(origin, wrappers) for origin in reversed(_origins(link.error))]


def _origins(error: BaseException) -> list[BaseException]:
    """Return what an exception was made from, the most telling first."""
    held = [attributes(error).get(name) for name in _HOLD_AN_ORIGIN]
    # What an OSError of Python's own came after is no part of it: an earlier try, say.
    came_after = None if _is_the_kernels(error) else error.__context__
    found = [error.__cause__, *_arguments(error), *held, came_after]
    return [origin for origin in found if isinstance(origin, BaseException)]


def attributes(error: BaseException) -> dict[str, Any]:
    """Return what an exception holds; its properties are not asked, since they may warn, or raise."""
    return getattr(error, "__dict__", {})


def _is_the_kernels(error: BaseException) -> bool:
    return isinstance(error, OSError) and type(error).__module__ == "builtins"


def _arguments(error: BaseException) -> list[object]:
    """Return the arguments and, one level down, those in sequences: ("Connection aborted.", error)."""
    flat: list[object] = []
    for argument in error.args:
        flat += argument if isinstance(argument, (tuple, list)) else [argument]
    return flat


def members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the members of an exception group (its backport's and trio's MultiError too), or none."""
    found = getattr(error, "exceptions", ())
    if not isinstance(found, (tuple, list)):
        return ()
    return tuple(member for member in found if isinstance(member, BaseException))


def kinds(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield (library, class) for an exception's class and its bases: ("urllib3", "ReadTimeoutError")."""
    for cls in type(error).__mro__:
        yield cls.__module__.partition(".")[0], cls.__name__


def in_coroutines_of(error: BaseException, libraries: set[str]) -> bool:
    """Tell whether an exception came through a coroutine of one of these: then its client runs on a loop."""
    return any(
        module.partition(".")[0] in libraries and code.co_flags & inspect.CO_COROUTINE
        for module, code in _frames(error.__traceback__)
    )


# Functions of the libraries below, by what a connection is doing in them. The innermost decides: a handshake
# reads inside connect().
_CONNECTS = re.compile(
    r"_*(connect|connect_ex|create_connection|(sock_)?connect(_sock|_tcp|_one)?|open_connection|new_conn"
    r"|start_connection|open_tcp_stream)$"
)
_TALKS = re.compile(r"_*(read|recv|receive|send|write|do_handshake|wait_for_data|nonblocking_helper)")
_LIBRARIES = {
    *("socket", "ssl", "http", "urllib", "asyncio", "urllib3", "httpcore", "httpcore2", "aiohttp"),
    *("aiohappyeyeballs", "anyio", "trio", "uvloop", "tornado", "gevent", "websockets"),
}
# Methods of a socket, by which a function of the user's own is told.
_CONNECTING_CALLS = {"connect", "connect_ex", "create_connection", "open_connection"}
_TALKING_CALLS = {
    *(
        "recv",
        "recv_into",
        "recvfrom",
        "recvmsg",
        "send",
        "sendall",
        "sendmsg",
        "sendfile",
        "read",
        "readline",
    ),
    *("readinto", "makefile", "getresponse", "do_handshake", "unwrap"),
}

# Classes that tell it, where the frames do not. What merely wraps the exceptions of both is not here.
_CONNECTING_CLASSES = {
    *("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ConnectTimeout", "ConnectError"),
    *(
        "ClientConnectorError",
        "ClientProxyConnectionError",
        "ConnectionTimeoutError",
        "EndpointConnectionError",
    ),
    "ProxyConnectionError",
}
_ESTABLISHED_CLASSES = {
    *("ReadTimeoutError", "ReadTimeout", "ReadError", "WriteTimeout", "WriteError", "ProtocolError"),
    *(
        "BrokenResourceError",
        "ClientOSError",
        "ClientPayloadError",
        "ConnectionClosedError",
        "IncompleteRead",
    ),
    *("ChunkedEncodingError", "StreamClosedError", "SocketTimeoutError", "ConnectionLost"),
}


def phase(link: Link) -> Phase | None:
    """Tell what the connection was doing; the exception itself knows better than what was made of it."""
    found = _phase_by_words(link.error) or _phase_by_frames(link.error)
    for error in link.path:
        found = found or _phase_by_class(error)
    return found


def _phase_by_words(error: BaseException) -> Phase | None:
    """asyncio and trio write into the OSError what they were doing."""
    said = str(error.args[1]) if len(error.args) > 1 else ""
    return "connecting" if said.startswith(("Connect call failed", "Error connecting to")) else None


def _phase_by_frames(error: BaseException) -> Phase | None:
    frames = list(_frames(error.__traceback__))
    if not frames:
        return None
    module, code = frames[-1]
    if module.partition(".")[0] not in _LIBRARIES:
        return _phase_by_calls(code)
    for module, code in reversed(frames):
        if module.partition(".")[0] in _LIBRARIES:
            name = code.co_name.rpartition(".")[2]
            if _CONNECTS.match(name):
                return "connecting"
            if _TALKS.match(name):
                return "established"
    return None


def _phase_by_calls(code: CodeType) -> Phase | None:
    """A function of the user's that only connects, or only talks, says which; one that does both does not."""
    called = set(code.co_names)
    connects, talks = bool(called & _CONNECTING_CALLS), bool(called & _TALKING_CALLS)
    if connects == talks:
        return None
    return "connecting" if connects else "established"


def _phase_by_class(error: BaseException) -> Phase | None:
    for _, name in kinds(error):
        if name in _CONNECTING_CLASSES:
            return "connecting"
        if name in _ESTABLISHED_CLASSES:
            return "established"
    return None


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, CodeType]]:
    """Yield (module, code) of each frame, the outermost first."""
    while trace is not None:
        frame = trace.tb_frame
        yield str(frame.f_globals.get("__name__", "")), frame.f_code
        trace = trace.tb_next
