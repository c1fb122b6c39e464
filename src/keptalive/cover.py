"""What hold() and install() leave behind: protect one socket after another, and never raise.

Rule: fail open. Code here runs inside other people's connects; whatever goes
wrong is said once as a KeptaliveWarning and logged to the logger `keptalive`,
and the connection goes on as it was.
"""

from __future__ import annotations

import copyreg
import sys
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from keptalive import platforms, tcp_info
from keptalive.environment import default_policy, switched_off
from keptalive.errors import ConnectionLost, KeptaliveWarning, Uncovered
from keptalive.policy import Policy
from keptalive.sockets import SocketType, apply, is_tcp, missing_fields, option_values

_ATTRIBUTE = "_keptalive_cover"
_SEAM = "_keptalive_stands_before"  # on a wrapper: what was in its place
_OF_CLASS = object()  # nothing but the method of the class
_get, _put = (
    SocketType.getsockopt.__get__,
    SocketType.setsockopt.__get__,
)  # past what install() puts before them


class Cover:
    """A policy and how firmly to set it; what a held object carries.

    *policy* None means the default policy, which leaves sockets alone that are at
    least as well protected already. Raises PolicyError, before anything changed,
    for a value that this operating system does not take. *strict* is hold()'s.
    """

    __slots__ = (
        "__weakref__",
        "_complained",
        "_lacking",
        "_options",
        "exact",
        "off",
        "policy",
        "strict",
        "uncovered",
    )

    def __init__(self, policy: Policy | None = None, *, strict: bool = True) -> None:
        self.exact = policy is not None
        self.strict = strict
        self.uncovered: list[str] = []
        self.policy = policy or default_policy()
        self.off = switched_off()
        self._options = tuple(option_values(self.policy).values())
        self._lacking = bool(missing_fields(self.policy))
        self._complained = False

    def protect(self, sock: Any) -> None:
        """Set the policy on *sock* and read it back; no socket, a closed one or a Unix one need none."""
        if self.off or sock is None:
            return
        try:
            if is_tcp(sock) and sock.fileno() != -1:
                if self._lacking or not self._quickly(sock):
                    report = apply(sock, self.policy if self.exact else None)
                    if report.problems:
                        self.complain("; ".join(report.problems))
                watch_end(sock)
        except Exception as error:  # noqa: BLE001  # the rule of this file
            self.complain(f"a connection is not protected: {error!r}")

    def _quickly(self, sock: Any) -> bool:
        """Set and read back a fresh socket in as few calls as can be; False if there is more to say."""
        if isinstance(sock, SocketType):
            get, put = _get(sock), _put(sock)
        else:
            get, put = sock.getsockopt, sock.setsockopt
        *values, (level, number, on) = self._options
        if not self.exact and get(level, number):
            return False  # its keepalive is on already: the longer way decides whether to leave it
        try:
            for level_, number_, value in values:
                put(level_, number_, value)
            put(level, number, on)
        except OSError:
            return False  # the longer way names what was refused
        for level_, number_, value in values:
            if get(level_, number_) != value:
                return False
        return bool(get(level, number))  # some systems return the option's number for "on"

    def refuse(self, problem: str) -> None:
        """Raise Uncovered for a part of a target; if not strict note it, so that the rest can be covered."""
        if self.strict:
            raise Uncovered(problem)
        self.uncovered.append(problem)

    def complain(self, problem: str) -> None:
        """Say *problem*: always to the log, and once for each cover as a warning."""
        import logging  # 8 ms that only trouble should cost

        logging.getLogger("keptalive").warning(problem)
        if not self._complained:
            self._complained = True
            try:
                warnings.warn(problem, KeptaliveWarning, stacklevel=3)
            except KeptaliveWarning:
                # Warnings are errors here. Raising inside somebody's connect would do harm; it is in the log.
                return


def cover_of(held: object) -> Cover | None:
    """Return the cover that hold() left on an object, if it did."""
    cover = getattr(held, "__dict__", {}).get(_ATTRIBUTE)
    return cover if isinstance(cover, Cover) else None


def put_cover(held: Any, cover: Cover) -> bool:
    """Leave *cover* on an object; True if it is the first one, so that seams need wrapping once only.

    Wrappers ask `cover_of(held)` when they run: holding an object again with another
    policy then just replaces its cover.
    """
    first = cover_of(held) is None
    held.__dict__[_ATTRIBUTE] = cover
    return first


def wrap(held: Any, name: str, around: Callable[..., Any]) -> None:
    """Have `held.name(...)` do `around(held, original, ...)` from now on, on this one object.

    Once is enough: where *around* was put before, nothing is done, and *around* asks
    `cover_of(held)` when it runs. The object is not kept alive by it, and copies and
    pickles of the object go without.
    """
    own = vars(held).get(name, _OF_CLASS)
    if hasattr(own, _SEAM):
        return
    of_class: Any = getattr(type(held), name, None)
    reference = weakref.ref(held)

    def seam(*args: Any, **kwargs: Any) -> Any:
        held = reference()
        return around(held, of_class.__get__(held) if own is _OF_CLASS else own, *args, **kwargs)

    setattr(seam, _SEAM, own)
    vars(held)[name] = seam
    copyreg.dispatch_table.setdefault(type(held), _as_new)  # what copy and pickle ask first


def follow(held: Any, name: str, after: Callable[..., None]) -> None:
    """Have `held.name(...)` followed by `after(held, cover, result, ...)`, with the same arguments.

    As wrap(), for the many seams where something is made and then covered. Whatever
    *after* raises becomes a complaint: the method has done its work.
    """
    wrap(held, name, partial(_then, after))


def _then(after: Callable[..., None], held: Any, original: Any, /, *args: Any, **kwargs: Any) -> Any:
    result = original(*args, **kwargs)
    cover = cover_of(held)
    if cover is not None:
        try:
            after(held, cover, result, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the rule of this file
            cover.complain(f"a connection is not protected: {error!r}")
    return result


def _as_new(held: Any) -> Any:
    """Reduce a held object, for copy and pickle, to what it was before: a seam is bound to its object."""
    made = held.__reduce_ex__(4)
    if not (isinstance(made, tuple) and len(made) > 2 and isinstance(made[2], dict)):
        return made
    state = {name: getattr(value, _SEAM, value) for name, value in made[2].items() if name != _ATTRIBUTE}
    return *made[:2], {name: value for name, value in state.items() if value is not _OF_CLASS}, *made[3:]


def watch_end(sock: Any) -> None:
    """Make the end of a killed TLS connection an error instead of an end of file.

    CPython 3.10, and before 3.11.9 and 3.12.3 (gh-115627), reads a connection that died
    of ETIMEDOUT as a clean end, and a body that ends when the connection does is cut
    short with success. SSLSocket asks `suppress_ragged_eofs` at just that moment.
    """
    ssl = sys.modules.get("ssl")  # not loaded: then this is no TLS socket, and ssl is dear to import
    if ssl is not None and isinstance(sock, ssl.SSLSocket) and sock.suppress_ragged_eofs is True:
        sock.suppress_ragged_eofs = _AskTheKernel(sock)


_READ_AN_END = "UNEXPECTED_EOF_WHILE_READING"  # SSLError.reason: the peer's FIN without close_notify


class _AskTheKernel:
    """True as long as an end of file is the peer's FIN; ConnectionLost where the connection was killed."""

    __slots__ = ("_sock",)

    def __init__(self, sock: Any) -> None:
        self._sock = weakref.ref(sock)

    def __bool__(self) -> bool:
        # OpenSSL 3 names the end that it read, and answers a FIN with an alert, which may bring a reset
        # before the kernel can be asked. Where it names nothing, its read failed or it is older.
        end = sys.exc_info()[1]
        if getattr(end, "reason", None) != _READ_AN_END and connection_was_killed(self._sock()):
            raise lost()
        return True


def connection_was_killed(sock: Any) -> bool:
    """Tell whether this connection ended by a timeout or a reset, and not by the peer's FIN.

    A FIN leaves the state CLOSE-WAIT, anything else CLOSE. A FIN and then a reset, as
    from a server that closes before it has read all, leave CLOSE too, but with EPIPE
    pending (tcp_reset() in net/ipv4/tcp_input.c); the other errors have just been
    handed out by the read that found the end. False where the platform does not say.
    """
    where = platforms.current().tcp_info
    if where is None or sock is None or sock.fileno() == -1:
        return False
    import errno  # only the end of a connection needs these two
    from socket import SO_ERROR, SOL_SOCKET

    try:
        ended = tcp_info.parse(sock.getsockopt(*where, 1)).state == "CLOSE"
        return ended and sock.getsockopt(SOL_SOCKET, SO_ERROR) != errno.EPIPE
    except OSError:
        return False


def lost() -> ConnectionLost:
    """Return the error for a connection that died where a body seemed to end, with ETIMEDOUT as errno."""
    import errno  # only trouble needs it

    return ConnectionLost(errno.ETIMEDOUT, "Connection timed out: the path died and the answer is cut short")
