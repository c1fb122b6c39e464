"""What holds for this process now, and what the wrappers ask.

Rule: nothing here raises into a connect, and nothing is remembered of a connection
but its descriptor. A later setting of the program's is judged by what the kernel
held before and after it:

    the default policy   what is on, with idle and interval both no longer than the
                         policy's, is the program's own choice and stays; else all
                         values are the policy's
    an explicit policy   is set exactly and stays exactly
"""

from __future__ import annotations

from typing import Any

from keptalive.cover import Cover
from keptalive.ends import watch_end
from keptalive.errors import KeptaliveError
from keptalive.process_wide.scope import Scope
from keptalive.sockets import SocketState, option_values, read_socket, set_options

#: The rule of this process, None when install() is not on. Wrappers read it at each call.
current: Rule | None = None


class Rule:
    """A policy, the connections it is meant for, and the descriptors it was set on."""

    __slots__ = ("_opened", "cover", "guarded", "scope")

    def __init__(self, cover: Cover, scope: Scope | None) -> None:
        self.cover = cover
        self.scope = scope
        #: (level, number) of the options that a program's later setting is judged for. A tuple:
        #: unlike a set it can be asked for whatever a program passes to setsockopt().
        self.guarded = tuple((level, number) for level, number, _ in option_values(cover.policy).values())
        # Numbers are reused, so an accepted connection may pass for one that was opened here; then
        # only a setting that takes it from protected to unprotected is affected.
        self._opened: set[int] = set()

    def connecting(self, sock: Any, address: Any) -> bool:
        """Protect a socket that is about to connect; True if only the peer's address can tell whether to."""
        if self.scope is not None:
            meant = self.scope.holds(address)
            if not meant:
                return meant is None
        self.cover.protect(sock)
        self._opened.add(sock.fileno())
        return False

    def connected(self, sock: Any) -> None:
        """Protect a socket that has connected, if its peer is meant."""
        try:
            if self.scope is None or self.scope.holds(sock.getpeername()):
                self.cover.protect(sock)
                self._opened.add(sock.fileno())
        except OSError:  # still connecting to a name, or lost already: there is no address to judge by
            return

    def encrypted(self, tls: Any) -> None:
        """Have a TLS socket over a connection opened here tell its end from a killed connection."""
        if tls.fileno() in self._opened:
            watch_end(tls)

    def stands(self, sock: Any) -> bool:
        """Tell whether *sock* is a connection opened here which the kernel holds as the rule wants it."""
        if sock.fileno() not in self._opened:
            return False
        try:
            return self._satisfied(read_socket(sock))
        except KeptaliveError:  # no TCP socket, or closed
            return False

    def reinstate(self, sock: Any) -> None:
        """Set the policy again, unless what the program has just set satisfies the rule as well."""
        try:
            if not self._satisfied(read_socket(sock)):
                refused = set_options(sock, option_values(self.cover.policy))
                for field, error in refused.items():
                    self.cover.complain(f"{field} was changed and could not be put back: {error.strerror}")
        except KeptaliveError as error:
            self.cover.complain(f"a connection's options were changed and could not be put back: {error}")

    def _satisfied(self, state: SocketState) -> bool:
        policy = self.cover.policy
        ours = (state.idle, state.interval) == (policy.idle, policy.interval)
        if self.cover.exact:
            timeout = policy.user_timeout in (None, state.user_timeout)
            return bool(state.enabled) and ours and state.count == policy.count and timeout
        # A count goes with the interval it was meant for: 5 probes a minute apart outlive five
        # minutes, at our interval a quarter of that. So it is taken only with an idle or an
        # interval of the program's own.
        alien = ours and state.count is not None and state.count < policy.count
        return state.protects(policy) and not alien
