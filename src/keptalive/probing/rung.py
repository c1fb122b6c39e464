"""One connection of the ladder: connect, settle, be idle, be asked.

Rule: a rung says what was seen on its own connection; what that means for the path is decided above.

To *ask* is to send a burst of probes; one answer proves that everything on the way still knows the
connection. To *settle* is to ask until the first answer, a second after connecting: only then has every
box on the way seen the handshake complete (where its last segment was lost, a firewall holds the
connection in another state with another, longer timeout), and the idle time begins at that answer.
"""

from __future__ import annotations

import asyncio
import math
from bisect import insort
from dataclasses import dataclass, field
from enum import Enum

from keptalive.probing.darkness import Darkness
from keptalive.probing.wire import TICK, Wire

#: Seconds of silence before a probe can be sent: the kernel's shortest TCP_KEEPIDLE, and a timer's lateness.
FLOOR = 1.02

_GAP = 0.006  # s between the probes of a burst: a probe takes a tick, 4 ms, to leave
_FALSELY_DEAD = 1.2e-5  # of the connections that live
_HEAVY = 0.1  # share of unanswered bursts that is called heavy loss
_PATIENCE = 0.1  # s an answer may take beyond three round trips: a peer that is busy
_LATEST = 0.5  # s that a busy kernel may take to send the first of them
_LATENESS = 1.0  # s: more than that is another silence than the one that was meant
#: Seconds between bursts: a Linux peer answers one probe in half a second (net.ipv4.tcp_invalid_ratelimit).
AGAIN = 0.55


class Answer(Enum):
    """What came of a burst."""

    ALIVE = "alive"  # answered
    SILENT = "silent"  # not answered
    ENDED = "ended"  # the connection was ended meanwhile: `Wire.end` says how


@dataclass
class Weather:
    """What the path does to probes, learnt from those that were answered in the end.

    Shared by all rungs: one lost probe is reason for all of them to ask longer.
    """

    asked: int = 0  # bursts on connections that turned out to be alive
    lost: int = 0  # those of them that went without an answer
    round_trip: float = 0.0  # s
    darkness: Darkness = field(default_factory=Darkness)
    _round_trips: list[float] = field(default_factory=list)

    def note(self, bursts: int) -> None:
        """Note that the last of so many bursts was answered."""
        self.asked += bursts
        self.lost += bursts - 1

    def note_round_trip(self, seconds: float) -> None:
        """Note what one connection took: the median counts, a repeated handshake makes one look longer."""
        if seconds > 0:
            insort(self._round_trips, seconds)
            self.round_trip = self._round_trips[len(self._round_trips) // 2]

    @property
    def lossy(self) -> bool:
        """True once anything got lost."""
        return self.lost > 0

    @property
    def loss(self) -> float:
        """The share of bursts that went unanswered on living connections."""
        return self.lost / self.asked if self.asked else 0.0

    @property
    def burst(self) -> int:
        """Probes in a burst, at most: one goes out at a time, and the first answer ends it.

        A burst counts as one question, since the peer answers it once; it only makes sure that the question
        arrives. On a path that loses a fifth of all packets, five in a row are lost once in 3,000 times.
        """
        return 5 if self.loss > _HEAVY else 3

    @property
    def lateness(self) -> float:
        """Seconds from the first probe of a burst to the last, where the last may be the one that arrives."""
        return (self.burst - 1) * _GAP if self.lossy else 0.0

    @property
    def bursts(self) -> int:
        """Bursts without an answer that make a dead connection.

        Four where nothing was lost so far: even at 5 % loss one living connection in 100,000 would seem dead.
        Else so many that this holds for the loss that was seen, and at least for 20 %: seven.
        """
        if not self.lossy:
            return 4
        return math.ceil(math.log(_FALSELY_DEAD) / math.log(min(max(self.loss, 0.2), 0.5)))

    @property
    def doubt(self) -> int:
        """Bursts without an answer that make a connection suspect: worth looking closer meanwhile."""
        if not self.lossy:
            return 1
        return 3 if self.loss > _HEAVY else 2


class Rung:
    """One connection, and since when it has been idle."""

    def __init__(self, number: int, wire: Wire, weather: Weather) -> None:
        self.number = number
        self.wire = wire
        self.weather = weather
        self.idle_since: tuple[float, float] = (0.0, 0.0)  # boxes saw the last packet between these
        self.settled = False
        self.late = False  # a busy machine came back to it long after it was to be asked the first time
        self.sent = (0.0, 0.0)  # when the first and the last probe of the last burst had left, at the latest
        self._bursts: list[float] = []  # when those of this question began
        self._segments = 0
        self._loop = asyncio.get_running_loop()

    @property
    def bursts(self) -> int:
        """How often it was asked about the present silence."""
        return len(self._bursts)

    async def settle(self, delay: float) -> bool:
        """Ask, a second and *delay* after connecting, until answered; False if no answer comes."""
        self.weather.note_round_trip(self.wire.look().round_trip)
        await asyncio.sleep(FLOOR + delay)
        self.late = self._loop.time() - self.wire.look().answered[1] > FLOOR + delay + _LATENESS
        for _ in range(self.weather.bursts):
            answer = await self.ask()
            if answer is Answer.ALIVE:
                self.weather.note(self.bursts)
                await self.rest()
                self.settled = True
                return True
            if answer is Answer.ENDED:
                return False
            await self.pause()
        return False

    async def rest(self) -> None:
        """Begin a new idle time, at the last answer."""
        await asyncio.sleep(2 * self.weather.round_trip)  # whatever else was answered arrives too
        look = self.wire.look()
        self._segments = look.segments
        # A box passed the answer on after the question, and at most a round trip before it came here. It may
        # seem to have come before the first, by a tick or two.
        asked_before = [began for began in self._bursts if began <= look.answered[1]]
        question = max(asked_before, default=self._bursts[0])
        self.idle_since = min(question, look.answered[0] - self.weather.round_trip), look.answered[1]
        self._bursts.clear()

    def disturbed(self) -> bool:
        """Tell whether anything arrived in this idle time: then nothing follows from it.

        The other end's own keepalive probes (they count as segments, not as acknowledgements), its data, or
        the handshake's second segment once more, because the third was lost.
        """
        look = self.wire.look()
        return look.segments != self._segments or look.answered[0] > self.idle_since[1] + TICK

    def age(self, now: float) -> float:
        """Seconds since the idle time began, for certain."""
        return now - self.idle_since[1]

    def age_at_most(self, now: float) -> float:
        """Seconds that a box on the way may count, at most, when a probe passes it that had left at *now*."""
        return now - self.idle_since[0]

    async def ask(self) -> Answer:
        """Send one burst of probes and wait for an answer; one that came late to an earlier burst will do."""
        answer = self._answer() if self._bursts else None
        if answer is None:
            answer = await self._send_burst()
        if answer is Answer.ALIVE:
            self.weather.darkness.answered(self._bursts[-1], self._loop.time())
        return answer

    def _answer(self) -> Answer | None:
        if self._ended():
            return Answer.ENDED
        # The answer before was a silence earlier: there is no mistaking one for the other. Not by the later
        # bound: where this process got no CPU for as long as that silence while it looked, both would be new.
        return Answer.ALIVE if self.wire.look().answered[0] + 2 * TICK >= self._bursts[0] else None

    async def _send_burst(self) -> Answer:
        began = self._loop.time()
        self._bursts.append(began)
        counted, burst, sent = self.wire.look().probes, self.weather.burst, list[float]()

        def look() -> Answer | None:
            # A busy kernel may send later than it was told to; that it has sent shows in its count.
            seen, now = self.wire.look(), self._loop.time()
            # What it repeats by itself, each second, is no part of the burst: that would never be over.
            sent.extend([now] * (min(seen.probes - counted, burst) - len(sent)))
            return self._answer()

        answer = self._answer()
        try:
            for _ in range(burst):
                if answer is None:
                    self.wire.probe()
                    await asyncio.sleep(_GAP)
                    answer = look()
            patience, wait = _PATIENCE + 3 * self.weather.round_trip, _GAP
            while answer is None and self._loop.time() < (sent[-1] if sent else began + _LATEST) + patience:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _PATIENCE / 2)
                answer = look()
        finally:
            self.wire.hush()
            sent = sent or [self._loop.time() if self.wire.end is None else self.wire.end.at]
            self.sent = sent[0], sent[-1]
        return answer or Answer.SILENT

    def _ended(self) -> bool:
        return self.wire.end is not None

    async def pause(self) -> None:
        """Wait until another burst makes sense."""
        again = self._bursts[-1] + AGAIN + self.weather.round_trip
        await asyncio.sleep(max(_GAP, again - self._loop.time()))
