"""What hold() and install() leave behind: protect one socket after another, and never raise.

Rule: fail open. Code here runs inside other people's connects; whatever goes
wrong is said once as a KeptaliveWarning and logged to the logger `keptalive`,
and the connection goes on as it was.
"""

from __future__ import annotations

import warnings
from typing import Any

from keptalive.ends import watch_end
from keptalive.environment import default_policy, switched_off
from keptalive.errors import KeptaliveWarning, Uncovered
from keptalive.policy import Policy
from keptalive.sockets import SocketType, apply, is_tcp, missing_fields, option_values

# Past what install() puts before them.
_get, _put = SocketType.getsockopt.__get__, SocketType.setsockopt.__get__


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
