"""What hold() and install() leave behind: protect one socket after another, and never raise.

Rule: fail open. Code here runs inside other people's connects; whatever goes
wrong is said once as a KeptaliveWarning and logged to the logger `keptalive`,
and the connection goes on as it was.
"""

from __future__ import annotations

import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any

from keptalive.ends import watch_end
from keptalive.environment import chosen, switched_off
from keptalive.errors import KeptaliveWarning, Uncovered
from keptalive.policy import Policy
from keptalive.sockets import SocketType, apply, is_tcp, missing_fields, option_values

_PlainSocket = socket.socket


class Cover:
    """A policy and how firmly to set it; what a held object carries.

    *policy* None means the default policy, which leaves sockets alone that are at
    least as well protected already. Raises PolicyError, before anything changed,
    for a value that this operating system does not take. *strict* is hold()'s.
    """

    __slots__ = (
        "__weakref__",
        "_complained",
        "_quickly",
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
        self.policy = chosen(policy)
        self.off = switched_off()
        options = tuple(option_values(self.policy).values())
        lacking = bool(missing_fields(self.policy))
        self._quickly = _never if lacking else _quick_setter(options, self.exact)
        self._complained = False

    def protect(self, sock: Any) -> None:
        """Set the policy on *sock* and read it back; no socket, a closed one or a Unix one need none."""
        if self.off or sock is None:
            return
        try:
            if is_tcp(sock):
                if not self._quickly(sock) and sock.fileno() != -1:
                    report = apply(sock, self.policy if self.exact else None)
                    if report.problems:
                        self.complain("; ".join(report.problems))
                if type(sock) is not _PlainSocket:
                    watch_end(sock)
        except Exception as error:  # noqa: BLE001  # the rule of this file
            self.complain(f"a connection is not protected: {error!r}")

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


def _quick_setter(options: tuple[tuple[int, int, int], ...], exact: bool) -> Callable[[Any], bool]:
    """Return a function that sets and reads back a fresh socket in as few steps as can be.

    It runs in every connect: a closure, because each attribute and each call less counts
    there, and without loops, which take a tenth more. It returns False if there is more
    to say than "done".
    """
    # In the order in which to set them, all TCP's; *further* is a user timeout, if the policy has one.
    (tcp, idle, idle_value), (_, interval, interval_value), (_, count, count_value), *further = options[:-1]
    level, number, on = options[-1]

    def quickly(sock: Any) -> bool:
        # The interpreter's own functions are also past what install() puts before them.
        bare = sock if isinstance(sock, SocketType) else _inside(sock)
        get, put = (_get, _put) if bare is None else (_kernel_get, _kernel_put)
        sock = sock if bare is None else bare
        try:
            if not exact and get(sock, level, number):
                # Its keepalive is on already: left alone if idle and interval are no longer than ours; if
                # they are, the longer way.
                return bool(get(sock, tcp, idle) <= idle_value and get(sock, tcp, interval) <= interval_value)
            put(sock, tcp, idle, idle_value)
            put(sock, tcp, interval, interval_value)
            put(sock, tcp, count, count_value)
            for each in further:
                put(sock, *each)
            put(sock, level, number, on)
            for each in further:
                if get(sock, *each[:2]) != each[2]:
                    return False
            return bool(
                get(sock, tcp, idle) == idle_value
                and get(sock, tcp, interval) == interval_value
                and get(sock, tcp, count) == count_value
                and get(sock, level, number)  # some systems return the option's number for "on"
            )
        except OSError:
            return False  # the longer way names what was refused

    return quickly


def _inside(sock: Any) -> Any:
    """Return the interpreter's own socket that is inside asyncio's TransportSocket, or None.

    By itself a TransportSocket takes four times as long.
    """
    asyncio = sys.modules.get("asyncio.trsock")
    if asyncio is not None and type(sock) is asyncio.TransportSocket:
        inside = getattr(sock, "_sock", None)  # private: without it, its public methods serve
        return inside if isinstance(inside, SocketType) else None
    return None


_kernel_get, _kernel_put = SocketType.getsockopt, SocketType.setsockopt


def _get(sock: Any, level: int, number: int) -> Any:
    return sock.getsockopt(level, number)


def _put(sock: Any, level: int, number: int, value: int) -> None:
    sock.setsockopt(level, number, value)


def _never(sock: Any) -> bool:
    return False
