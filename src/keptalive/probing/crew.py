"""The connections of one measurement: opened gently, settled, idle, lost; and nothing of them left behind.

Rule: it knows which connections there are and what arrives on them unasked; whom to ask is decided above.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from keptalive.probing.ending import end
from keptalive.probing.ladder import Goal
from keptalive.probing.rung import FLOOR, Answer, Rung, Weather
from keptalive.probing.signatures import AT_ONCE, Ended, Evidence
from keptalive.probing.wire import FAREWELL, End, Wire

_CONNECT = 8.0  # s: the kernel repeats a SYN after 1, 3 and 7 s
_SCOUTS = 3  # connections that are tried before the others: at 20 % loss one alone fails once in 60 times
_SPREAD_OVER = 1.0  # s over which the first idle times begin, so that they are of different ages ever after
_READ = 0.01  # s in which the event loop reads what has arrived
_DATA = b"\r\n"  # what servers of HTTP ignore before a request (RFC 9112, 2.2)
_DATA_PATIENCE = 1.5  # s for its acknowledgement: two retransmissions
_RST_LATENESS = 0.25  # s after which a busy box may take notice of an RST, and have forgotten its flow


class Crew:
    """All rungs. One of the connections allowed is kept back, for what only a fresh one can answer."""

    def __init__(
        self, dial: Callable[[Callable[[], None]], Wire], goal: Goal, rate: float, evidence: Evidence
    ) -> None:
        """Prepare; *dial* makes an unconnected wire, given what to call when something arrives on it."""
        self.weather = Weather()
        self.rungs: dict[int, Rung] = {}
        self.idle: set[int] = set()
        self.opening = 0  # connections that are not idle yet for the first time
        self.connections = 0
        self.refused = 0
        self.event = asyncio.Event()  # something happened
        self.tasks: set[asyncio.Task[None]] = set()
        self.trouble: BaseException | None = None
        self._dial, self._goal, self._rate, self._evidence = dial, goal, rate, evidence
        self._loop = asyncio.get_running_loop()
        self._contact: asyncio.Future[None] = self._loop.create_future()
        self.spare = goal.connections - 1  # the number of the one that is kept back
        self._spare_called = False
        self._lost: list[Wire] = []

    # -- opening ---------------------------------------------------------------------------------------

    async def open_all(self) -> None:
        """Begin to open all but one; return when the first connection stands. Raises OSError if none does."""
        self.opening = self._goal.connections - 1
        for number in range(self.opening):
            self.start(self._raise(number))
        await self._contact

    def call_spare(self) -> None:
        """Open the connection that was kept back; does nothing the second time."""
        if not self._spare_called:
            self._spare_called = True
            self.opening += 1
            self.start(self._raise(self.spare))

    async def _raise(self, number: int) -> None:
        """Open a rung, settle it, and leave it idle. The first few find out whether there is anybody."""
        try:
            if number >= _SCOUTS:
                await asyncio.wait([self._contact])
            if self._rate and not self._spare_called:
                await asyncio.sleep(number / self._rate)
            wire = self._dial(self.event.set)
            try:
                await self._connect(wire)
            except OSError as error:
                self._refused(wire, error)
                return
            if not self._contact.done():
                self._contact.set_result(None)
            rung = self.rungs[number] = Rung(number, wire, self.weather)
            spread = 0.0 if self._rate or number == self.spare else _SPREAD_OVER / self._goal.connections
            await self.settle(rung, number * spread)
        finally:
            self.opening -= 1

    def _refused(self, wire: Wire, error: OSError) -> None:
        """A connection was not to be had, or no longer."""
        if isinstance(error, ConnectionResetError) and not wire.connected:
            # It stood, and its RST was there before anybody could see it stand: a closed port refuses.
            self._evidence.shed.append(0.0)
            self._evidence.turned_away += 1
        else:
            self.refused += 1
        if self.refused + self._evidence.turned_away >= _SCOUTS and not self._contact.done():
            self._contact.set_exception(error)

    async def _connect(self, wire: Wire) -> None:
        self.connections += 1
        try:
            await asyncio.wait_for(wire.connect(), _CONNECT)
        except asyncio.CancelledError:
            self._lost.append(wire)  # a server that is busy may have let it be silent for long
            raise
        except asyncio.TimeoutError:
            self._lost.append(wire)
            if wire.connected:
                what = f"connected, but no answer to the TLS handshake within {_CONNECT:g} s"
                raise TimeoutError(f"{what}: perhaps that port speaks no TLS") from None
            raise TimeoutError(f"no answer within {_CONNECT:g} s") from None

    # -- idle, or lost ---------------------------------------------------------------------------------

    async def settle(self, rung: Rung, delay: float = 0.0) -> None:
        """Bring a rung to rest, or lose it."""
        before = rung.settled
        if await rung.settle(delay):
            if not before:
                self._evidence.settled += 1
                self._note_first_words(rung)
            self.rest(rung)
        elif rung.wire.end is None:
            self._evidence.unsettled += not rung.late  # else it may have been forgotten meanwhile
            self.lose(rung)
        elif before:
            self.ended_unasked(rung, rung.wire.end)
        else:
            lived = rung.wire.end.at - rung.wire.connected
            self._evidence.shed.append(lived)
            self._evidence.turned_away += lived < AT_ONCE and rung.wire.heard is None
            self.lose(rung)

    def rest(self, rung: Rung) -> None:
        """A rung is idle, and may be asked."""
        self.idle.add(rung.number)
        self._count()

    def lose(self, rung: Rung) -> None:
        """A rung is of no more use."""
        self.idle.discard(rung.number)
        del self.rungs[rung.number]
        rung.wire.close()
        self._lost.append(rung.wire)
        self._count()

    def _count(self) -> None:
        self._evidence.loss = self.weather.loss
        self._evidence.living = len(self.rungs)
        self.event.set()

    def sweep(self) -> None:
        """Look for rungs that were ended, or spoken to, while they were idle."""
        for number in sorted(self.idle):
            rung = self.rungs[number]
            if rung.wire.end is not None:
                self.ended_unasked(rung, rung.wire.end)
            else:
                self.spoken_to(rung)

    def spoken_to(self, rung: Rung) -> bool:
        """Tell whether data arrived in a rung's silence; then a new one is to begin."""
        if rung.wire.heard is None or rung.wire.heard <= rung.idle_since[1]:
            return False
        self._note_first_words(rung)
        self._evidence.talk[rung.number] += 1
        self.idle.discard(rung.number)
        self.start(self.settle(rung))
        return True

    async def renew(self, rung: Rung) -> None:
        """Something arrived in a rung's silence: nothing follows from it, and a new one begins."""
        await asyncio.sleep(_READ)
        if self.spoken_to(rung):
            return
        self._evidence.disturbed += rung.wire.end is None
        for _ in range(self.weather.bursts):
            if await rung.ask() is Answer.ALIVE:
                await rung.rest()
                self.rest(rung)
                return
            if rung.wire.end is not None:
                self.ended_unasked(rung, rung.wire.end)
                return
            await rung.pause()
        self.lose(rung)

    def _note_first_words(self, rung: Rung) -> None:
        if rung.wire.heard is not None:
            self._evidence.first_words.setdefault(rung.number, rung.wire.heard - rung.wire.connected)

    def ended_unasked(self, rung: Rung, end: End) -> None:
        """The other side ended a rung, and not because it was asked."""
        wire, spoken = rung.wire, rung.wire.heard
        self._note_first_words(rung)
        if spoken is not None and end.at - spoken < FAREWELL:
            spoken = wire.heard_before
        since_data = end.at - (wire.connected if spoken is None else spoken)
        self._evidence.ends.append(Ended(since_data, rung.age(end.at), end.kind))
        self.lose(rung)

    # -- the last question -----------------------------------------------------------------------------

    async def ask_by_data(self) -> float | None:
        """No probe was ever answered. Is data, after the same silence?

        Returns None if it is acknowledged, else the silence, in seconds. Raises OSError if there is no
        connection to be had any more.
        """
        self._spare_called = True
        wire = self._dial(self.event.set)
        await self._connect(wire)
        try:
            await asyncio.sleep(FLOOR)
            idle_for = self._loop.time() - wire.connected
            before = wire.look().acknowledged
            try:
                wire.say(_DATA)
            except ConnectionError:
                return None  # it was ended meanwhile: packets pass
            await asyncio.sleep(_DATA_PATIENCE)
            alive = wire.end is not None or wire.look().acknowledged > before
            return None if alive else idle_for
        finally:
            wire.close()
            self._lost.append(wire)

    # -- tasks, and the end ----------------------------------------------------------------------------

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something beside; what it raises comes to light in `trouble`."""
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.trouble = task.exception()
        self.event.set()

    async def stop(self) -> None:
        """End all that is under way, and reset every connection."""
        await end(self.tasks)
        for rung in self.rungs.values():
            rung.wire.close()

    async def bury(self, alive: float) -> None:
        """Make the server forget what died in silence, as gently as it was opened.

        *alive*: seconds of silence that are harmless; who may have been idle for longer may be dead as well,
        and who was so for nearly as long may die before its RST comes to the box that forgets.
        """
        now = self._loop.time()
        dead = [wire for wire in self._lost if wire.end is None or wire.end.kind == "reset"]
        dead += [rung.wire for rung in self.rungs.values() if rung.age_at_most(now) > alive - _RST_LATENESS]

        async def bury(number: int, wire: Wire) -> None:
            await asyncio.sleep(number / self._rate if self._rate else 0)
            await wire.bury()

        await asyncio.gather(*(bury(number, wire) for number, wire in enumerate(dead)))
