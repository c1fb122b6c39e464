"""Which connection to ask next, and after how long a silence.

Rule: pure; numbers in, plan out. Made anew after everything that happens, so it may forget what it planned.

Three things go on side by side. *Climbing*: longer and longer silences, each `step` times the last, until
one is not survived. Whoever was idle longest climbs next; what it answered starts it from zero, and by the
time its turn comes again, it lags behind the silence it is to prove by two per cent only. So a few dozen
connections are enough for any timeout, and the ladder is never more than a step away from the truth.
*Refining*: as soon as one silence killed, the connections that are between the longest survived and the
shortest deadly silence just then, or will be soon, are asked at even distances between the two. Meanwhile
*witnesses* are called: whoever was idle for the shortest time must live, or it was not the silence that
killed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

# How far the connection that climbs may lag behind, as a part of the silence it is to prove. Less would make
# the steps longer, more would make the climber later: with 50 connections the sum of both is least here.
_LAG = 0.02


@dataclass(frozen=True)
class Goal:
    """What is to be found out, with what means."""

    precision: float  # width of the bracket, as a part of the timeout
    longest: float  # s: the longest silence to try
    connections: int

    @property
    def step(self) -> float:
        """How much longer each silence is than the last: so that the whole ladder's turn takes 1/_LAG."""
        return max(1.0 + self.precision, math.exp(-math.log(_LAG) / self.connections))

    def width(self, age: float, blur: float) -> float:
        """Seconds that a bracket may be wide around a timeout of *age*: twice the blur at least."""
        return max(self.precision * age, 2 * blur)


class Ask(NamedTuple):
    """Ask a rung at a time; it will have been idle for `age` then."""

    at: float
    rung: int
    age: float
    witness: bool = False  # it is to tell whether the path is there at all


def witness(idle_since: Mapping[int, float], floor: float, not_before: float, now: float) -> Ask | None:
    """Plan to ask whoever was idle for the shortest time: if the path is there at all, it lives."""
    if not idle_since:
        return None
    youngest = max(idle_since, key=lambda rung: idle_since[rung])
    at = max(now, idle_since[youngest] + floor, not_before)
    return Ask(at, youngest, at - idle_since[youngest], witness=True)


def climb(
    idle_since: Mapping[int, float], reached: float, floor: float, goal: Goal, now: float
) -> Ask | None:
    """Plan the next longer silence after *reached*; None at the top, or if nobody is free."""
    if reached >= goal.longest or not idle_since:
        return None
    age = min(max(floor, reached * goal.step), goal.longest)
    oldest = min(idle_since, key=lambda rung: idle_since[rung])
    at = max(now, idle_since[oldest] + age)
    return Ask(at, oldest, at - idle_since[oldest])


class Gap(NamedTuple):
    """Between what was survived and what was not, in seconds; to become no wider than `width`."""

    alive: float
    dead: float
    width: float
    blur: float  # by which what a dead connection proves is longer than the silence that was meant

    def targets(self, under_way: Iterable[float]) -> list[float]:
        """Return the silences to ask about. Those that are *under_way* already will split it as well."""
        if self.dead - self.alive <= self.width:
            return []
        top = max(self.alive, self.dead - self.blur)
        marks = [self.alive, *sorted(age for age in under_way if self.alive < age < top), top]
        # A blur as wide as the goal cannot be split away: without a floor the pieces would be countless.
        step = max(self.width - self.blur, self.width / 4)
        pieces = [math.ceil((high - low) / step) for low, high in pairwise(marks)]
        return [
            low + (high - low) * piece / number
            for (low, high), number in zip(pairwise(marks), pieces, strict=True)
            for piece in range(1, number)
        ]


def refine(idle_since: Mapping[int, float], gap: Gap, under_way: Iterable[float], now: float) -> list[Ask]:
    """Plan to ask at even distances all over the gap."""
    wanted = gap.targets(under_way)
    free = sorted(idle_since.items(), key=lambda item: item[1])
    stride = max(1, math.ceil(len(wanted) / max(1, len(free))))
    plan = []
    # The longest first: it has the widest choice, and leaves to the shorter ones those that they need.
    for age in reversed(wanted[stride // 2 :: stride]):
        # A little late is as good: it was planned for, and the clock moved on.
        chosen = next(((rung, since) for rung, since in free if since + age >= now - gap.blur / 2), None)
        if chosen is None:
            continue
        free.remove(chosen)
        rung, since = chosen
        at = max(now, since + age)
        plan.append(Ask(at, rung, at - since))
    return plan
