"""Questions to arms that wait: is the connection alive? And to a fresh one: is the path there at all?

Rule: the control comes first. Who does not answer after a fresh connection has been answered is dead; before,
it might have been an outage that was just over.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from keptalive.diagnosis.arms import RunningArm
from keptalive.diagnosis.control import ask_control
from keptalive.diagnosis.evidence import Control
from keptalive.diagnosis.fates import turned_away
from keptalive.probing.rung import Weather
from keptalive.probing.target import Address

_GRACE = 2.0  # s that the plain arm may be later than the held one before it is asked
#: Seconds up to which an answer is so quick that the time of another is waited for: many a server does one
#: thing at a time. A question must not come before that answer: it may open a path that was closed.
_QUICK = 6.5
_TICK = 0.25  # s between looks


class Questions:
    """What is asked at the end of one diagnosis, and what the control said."""

    def __init__(
        self,
        held: RunningArm,
        plain: RunningArm | None,
        address: Address,
        *,
        deadly: Callable[[float], bool],
        began: float,
        make_socket: Callable[[int], socket.socket] | None,
    ) -> None:
        """Prepare; *deadly* tells whether a silence is known to kill on this path."""
        self.control: Control | None = None
        self._held, self._plain, self._address = held, plain, address
        self._deadly, self._began, self._make_socket = deadly, began, make_socket
        self._weather = Weather()

    @property
    def _arms(self) -> list[RunningArm]:
        return [self._held] if self._plain is None else [self._held, self._plain]

    async def ask(self, arms: list[RunningArm]) -> None:
        """Make sure that the path is there, then ask; and where probes are of no use, ask by data."""
        for arm in self._arms:  # of three connections the median counts: one may have been slow to begin
            arm.note_round_trip(self._weather)
        await self._renew_control()
        await self._wait_for_latecomers()
        await asyncio.gather(*(arm.ask(self._weather) for arm in arms))
        control = self.control
        if control is not None and control.connected and control.probes != "answered":
            await asyncio.gather(*(arm.ask_by_data() for arm in arms if arm.dead))

    async def ask_the_rest(self) -> None:
        """Ask whoever is still waiting; and the path, where an arm came to a bad end."""
        waiting = [arm for arm in self._arms if arm.waiting]
        if waiting:
            await self.ask(waiting)
        if self.path_in_question():
            await self._renew_control()

    def path_in_question(self) -> bool:
        """Tell whether an arm came to an end that the path may have brought about."""
        ends = {"dead" if arm.dead else arm.outcome for arm in self._arms}
        if ends == {"reset"} and self._plain is not None:
            return not self._held.recorder.answered_probes  # else the path knew it, and let the reset pass
        if all(turned_away(arm.freeze()) for arm in self._arms):
            return True  # is anybody there at all?
        return bool(ends & {"dead", "timed-out", "reset"})

    async def _wait_for_latecomers(self) -> None:
        """Give the plain arm the time to be answered unasked."""
        held, plain = self._held, self._plain
        if plain is None or held.ended_at is None:
            return
        waited = held.ended_at - (held.sent_at or 0.0)
        grace = _GRACE + (waited if waited <= _QUICK else 0.0)
        while held.ended_for < grace and not plain.ended and not self._deadly(plain.idle_for):
            await asyncio.sleep(_TICK)

    async def _renew_control(self) -> None:
        """Make a control connection, unless there is one that is newer than the end of every arm."""
        ends = [arm.ended_at or 0.0 for arm in self._arms]
        if self.control is None or self.control.at < max(ends):
            self.control = await ask_control(
                self._address, self._weather, make_socket=self._make_socket, began=self._began
            )
