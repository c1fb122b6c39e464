"""What is measured while the request waits: the path's idle timeout, on idle connections of its own.

Rule: gentle. It begins only if there is something to wait for, opens few connections, slowly, and says
nothing on them but what TLS needs; a server with few workers must not notice.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from keptalive.diagnosis.fates import forgets
from keptalive.diagnosis.request import Request
from keptalive.probing.ending import end
from keptalive.probing.ladder import Goal
from keptalive.probing.result import ProbeResult
from keptalive.probing.session import LONGEST, Session
from keptalive.probing.target import Address, Target

_AFTER = 3.0  # s that a request waits before it counts as a long one
#: Of the timeout: what a policy is made of, T/3 and T/10, needs no more.
_PRECISION = 0.05
_MARGIN = 1.25  # times the silence that kills: late timers, and what the bracket is wide


@dataclass(frozen=True)
class _Pinned(Target):
    """A host at the one address that the arms use."""

    address: Address | None = None

    async def addresses(self) -> list[Address]:
        """Return that address."""
        return [] if self.address is None else [self.address]


class Meanwhile:
    """A measurement that may begin, and may be given up."""

    def __init__(self, request: Request, address: Address, connections: int, rate: float) -> None:
        self._session: Session | None = None
        self._task: asyncio.Task[ProbeResult] | None = None
        self._target = _Pinned(request.host, request.port, tls=request.tls, address=address)
        # Through a proxy only the way to the proxy could be measured: that is not what is asked.
        self._connections = 0 if request.proxy is not None else connections
        self._rate = rate

    def begin(self, waited: float, make_socket: Callable[[int], socket.socket] | None) -> None:
        """Begin, if the request has *waited* long enough; does nothing the second time."""
        if self._task is None and self._connections and waited >= _AFTER:
            goal = Goal(_PRECISION, LONGEST, self._connections)
            self._session = Session(self._target, goal, rate=self._rate, make_socket=make_socket)
            self._task = asyncio.ensure_future(self._session.run())

    def result(self) -> ProbeResult | None:
        """Return what is known, or None if it did not begin."""
        return None if self._session is None else self._session.result()

    @property
    def dead_at(self) -> float | None:
        """The shortest silence that is known to kill."""
        result = self.result()
        if result is None or result.behaviour in ("outage", "closed-by-peer"):
            return None
        return result.dead_at

    def deadly(self, silence: float) -> bool:
        """Tell whether who was silent for so long should be dead, by a margin."""
        result = self.result()
        return forgets(result) and silence > _MARGIN * ((result and result.dead_at) or 0.0)

    def done(self, enough: float | None) -> bool:
        """Tell whether no more is to come, or *enough* seconds of silence were proved harmless."""
        if self._task is None or self._task.done():
            return True
        result = self.result()
        return bool(enough and result and result.alive_at and result.alive_at >= enough)

    async def stop(self) -> None:
        """Give it up, if it is still under way, and leave nothing behind."""
        if self._task is None or self._session is None:
            return
        under_way = not self._task.done()
        await end([self._task])
        await asyncio.gather(self._task, return_exceptions=True)  # what it raised is its own
        if under_way:
            await self._session.bury()
