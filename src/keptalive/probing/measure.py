"""Ask the right connection at the right time until the path's timeout is known.

Rule: it starts what the plan says and keeps the evidence; what to plan stands in `ladder`, what it means in
`estimate` and `signatures`, what to say in `result`. Each rung runs by itself, so a connection that has to
repeat its handshake holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from keptalive.probing import ladder
from keptalive.probing.crew import Crew
from keptalive.probing.estimate import Bracket, Trial
from keptalive.probing.ladder import Ask, Goal
from keptalive.probing.rung import AGAIN, FLOOR, Answer, Rung
from keptalive.probing.signatures import Behaviour, Evidence, forgetting, judge, needs_data
from keptalive.probing.wire import Wire

_OUTAGE = 15.0  # s without an answer from anybody, after which it was not the silence that killed
_BLUR = 0.03  # s by which silences are vague: ticks of the kernel's clock at both ends, and a busy machine
_YOUNG = 0.95  # of the longest silence that was survived: whoever dies earlier did not die of silence
_DUE = 0.001  # s: what is due so soon is due now; less than that no event loop can wait
_TICK = 0.5  # s between reports of progress
#: How many times the timeout itself contradictory evidence may take to be resolved.
_STUBBORN = 3.0


@dataclass(frozen=True)
class Progress:
    """How a measurement is going. Times in seconds."""

    elapsed: float
    left: float  # at most, as things look now
    alive_at: float | None
    dead_at: float | None  # for certain, or as it seems
    idle_for: float  # how long the connection that climbs has been silent
    connections: int


class Measurement:
    """One measurement of one path. `run()` it once; what is known is in `evidence` at any time."""

    def __init__(
        self,
        dial: Callable[[Callable[[], None]], Wire],
        goal: Goal,
        *,
        rate: float = 0.0,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """Prepare, inside the event loop; *dial* is the crew's."""
        self.evidence = Evidence()
        self._crew = Crew(dial, goal, rate, self.evidence)
        self._goal, self._progress = goal, progress
        self._asking: dict[int, float] = {}  # rung -> the silence it is being asked about
        self._suspects: dict[int, tuple[float, float]] = {}  # rung -> its silence, and when it was asked
        self._reached = 0.0  # the longest silence asked about
        self._witness_called = 0.0
        self._darkness = self._crew.weather.darkness
        self._loop = asyncio.get_running_loop()
        self._begun = self._told = self._loop.time()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._loop.time() - self._begun

    @property
    def connections(self) -> int:
        """Connections that were opened, or tried."""
        return self._crew.connections

    @property
    def refused(self) -> int:
        """Connections that were not to be had."""
        return self._crew.refused

    @property
    def narrow(self) -> bool:
        """True if the bracket is as narrow as was asked for."""
        found = self.evidence.bracket()
        return found.dead is None or found.width <= self._width(found)

    async def run(self) -> Behaviour:
        """Measure. Raises OSError if not even the first connection can be made."""
        try:
            await self._crew.open_all()
            behaviour = await self._watch()
        finally:
            await self._crew.stop()
        await self.bury()
        return behaviour

    async def bury(self) -> None:
        """Make the server forget what died in silence; for a measurement that was interrupted, call it."""
        await self._crew.bury(self.evidence.bracket().alive or 0.0)

    async def _watch(self) -> Behaviour:
        """Ask what is due, judge, wait; until the judgement stands."""
        crew = self._crew
        while True:
            if crew.trouble is not None:
                raise crew.trouble
            crew.event.clear()
            crew.sweep()
            now = self._loop.time()
            plan = self._plan(now)
            if (behaviour := self._judge(plan)) is not None:
                return behaviour
            for ask in plan:
                if ask.at <= now + _DUE:
                    self._begin(ask)
                    crew.event.set()  # the plan has changed
            until = [ask.at for ask in plan if ask.at > now + _DUE]
            if self._progress is not None:
                self._tell(self._progress, now, plan)
                until.append(now + _TICK)
            # Not wait_for(): before Python 3.12 it may lose a cancellation that comes with the event.
            alarm = self._loop.call_at(min(until, default=now + _OUTAGE), crew.event.set)
            try:
                await crew.event.wait()
            finally:
                alarm.cancel()

    # -- planning --------------------------------------------------------------------------------------

    def _plan(self, now: float) -> list[Ask]:
        """Decide whom to ask next, and when."""
        idle = {number: self._crew.rungs[number].idle_since[1] for number in self._crew.idle}
        found = self.evidence.bracket()
        alive, dead = found.alive or 0.0, self._seems_dead(found)
        plan = []
        if dead is not None:
            pace = AGAIN if self._unwitnessed() else max(FLOOR, alive / 2)
            ask = ladder.witness(idle, FLOOR, self._witness_called + pace, now)
            if ask is None or ask.age > max(alive, 2 * FLOOR) or self._dark_at(now):
                # Nobody was idle so shortly that it must live, or even those go unheard: is the path there?
                self._crew.call_spare()
            if ask is not None:
                plan.append(ask)
                del idle[ask.rung]
        if not self.evidence.believed(found):
            ask = ladder.climb(idle, self._reached, FLOOR, self._goal, now)
            if ask is not None:
                plan.append(ask)
                del idle[ask.rung]
        if dead is not None:
            gap = ladder.Gap(alive, dead, self._width(found), self._blur)
            plan += ladder.refine(idle, gap, self._asking.values(), now)
        return plan

    def _seems_dead(self, found: Bracket) -> float | None:
        """Return the shortest silence that killed, or seems to."""
        seems = [age for age, _ in self._suspects.values() if age > (found.alive or 0.0)]
        return min([*seems, *([] if found.dead is None else [found.dead])], default=None)

    def _width(self, found: Bracket) -> float:
        """Seconds that the bracket may be wide."""
        return self._goal.width(found.alive or 0.0, self._blur)

    @property
    def _blur(self) -> float:
        """Seconds by which a silence is vague."""
        return _BLUR + self._crew.weather.lateness + self._crew.weather.round_trip

    def _unwitnessed(self) -> bool:
        """Tell whether nobody has answered since a connection became suspect."""
        return any(since > self._darkness.last_answer for _, since in self._suspects.values())

    def _dark_at(self, at: float) -> bool:
        """Tell whether the path may have been down at that moment: where nothing is ever lost, one tells."""
        return self._darkness.hides(at, 2 if self._crew.weather.lossy else 1)

    # -- asking ----------------------------------------------------------------------------------------

    def _begin(self, ask: Ask) -> None:
        rung = self._crew.rungs[ask.rung]
        self._crew.idle.discard(ask.rung)
        if rung.disturbed():
            self._crew.start(self._crew.renew(rung))
            return
        if ask.witness:
            self._witness_called = self._loop.time()
        self._asking[ask.rung] = ask.age
        self._reached = max(self._reached, ask.age)
        self._crew.start(self._examine(rung, witness=ask.witness))

    async def _examine(self, rung: Rung, *, witness: bool) -> None:
        try:
            await self._ask_until_clear(rung, witness)
        finally:
            self._asking.pop(rung.number, None)
            self._suspects.pop(rung.number, None)

    async def _ask_until_clear(self, rung: Rung, witness: bool) -> None:
        """Ask one rung about its silence until it is known whether it lives."""
        weather = self._crew.weather
        since = self._loop.time()
        age, survived = rung.age(since), self.evidence.bracket().alive or 0.0
        asked: list[tuple[float, float]] = []  # when, and how long the silence was at most
        while True:
            path_is_up = since < self._darkness.last_answer  # another answered, and one burst more follows
            answer = await rung.ask()
            # On a path that loses, the first probe of the burst may not have arrived.
            sent = rung.sent[1 if weather.lossy else 0]
            asked.append((sent, rung.age_at_most(sent)))
            if answer is Answer.ALIVE:
                await self._survived(rung, age)
                return
            if rung.wire.end is not None and rung.wire.end.kind == "fin":
                self._crew.ended_unasked(rung, rung.wire.end)
                return
            witness &= since > self._darkness.last_answer  # it is its own silence, if others answer meanwhile
            # After the first burst, the answer may still come; it is seen when the next one is due.
            if witness and len(asked) > 1 and asked[-1][1] < survived:
                self._darkness.unheard()
            told = [at_most for at, at_most in asked if not self._dark_at(at)]
            if answer is Answer.ENDED or len(asked) >= weather.doubt:
                self._suspects[rung.number] = (told or [asked[-1][1]])[0], since
                self._crew.event.set()
            if answer is Answer.ENDED and since < self._darkness.last_answer:
                break
            if path_is_up and len(told) >= weather.bursts:
                break
            if self._darkness.last_answer < since < self._loop.time() - _OUTAGE:
                self.evidence.outage = True
                return
            await rung.pause()
        at_most = (told or [asked[-1][1]])[0]
        self.evidence.died_young += at_most < _YOUNG * survived
        self._died(rung, at_most, max(1, len(told)))

    async def _survived(self, rung: Rung, age: float) -> None:
        self._crew.weather.note(rung.bursts)
        if rung.number != self._crew.spare:
            self.evidence.died_young = 0
        self.evidence.disturbed = 0
        self.evidence.trials.append(Trial(True, age))
        await rung.rest()
        self._crew.rest(rung)

    def _died(self, rung: Rung, at_most: float, bursts: int) -> None:
        self.evidence.trials.append(Trial(False, at_most, bursts))
        self.evidence.deaths[rung.wire.end.kind if rung.wire.end else "silent"] += 1
        self._crew.lose(rung)

    async def _ask_by_data(self) -> None:
        try:
            silence = await self._crew.ask_by_data()
        except OSError:
            self.evidence.outage = True
            return
        self.evidence.acknowledged = silence is None
        if silence is not None:
            self.evidence.trials.append(Trial(False, silence + self._blur))

    # -- judging ---------------------------------------------------------------------------------------

    def _judge(self, plan: list[Ask]) -> Behaviour | None:
        found = self.evidence.bracket()
        behaviour = judge(
            self.evidence,
            self._goal.longest,
            self._width(found),
            opening=self._crew.opening,
            suspects=len(self._suspects),
        )
        if behaviour in ("silent", "reset") and found.dead is not None:
            # Who is suspect now may still move the bracket, or turn out to have died too young.
            return None if any(age < found.dead for age, _ in self._suspects.values()) else behaviour
        if behaviour is None and needs_data(self.evidence, self._crew.opening):
            self.evidence.asked_by_data = True
            self._crew.start(self._ask_by_data())
        elif behaviour is None and self._exhausted(plan):
            return "unknown" if found.dead is None else forgetting(self.evidence)
        return behaviour

    def _exhausted(self, plan: list[Ask]) -> bool:
        """Tell whether more time would bring no more."""
        if self._crew.tasks or any(not ask.witness for ask in plan):
            dead = self.evidence.bracket().dead
            return dead is not None and self.elapsed > _STUBBORN * dead + 2 * _OUTAGE
        return True

    def _tell(self, progress: Callable[[Progress], None], now: float, plan: list[Ask]) -> None:
        if now - self._told < _TICK:
            return
        self._told = now
        found = self.evidence.bracket()
        dead = self._seems_dead(found)
        rungs = [self._crew.rungs[number] for number in self._crew.idle]
        oldest = max((rung.age(now) for rung in rungs), default=0.0)
        if dead is None:
            left = max(0.0, self._goal.longest - oldest)
        else:
            left = (
                max([0.0, *(ask.at - now for ask in plan if not ask.witness)])
                + self._crew.weather.bursts * AGAIN
            )
        progress(Progress(self.elapsed, left, found.alive, dead, oldest, self.connections))
