"""From what the rungs said to a bracket around the timeout.

Rule: pure. A silence that was survived is proof: no answer comes over a forgotten connection. One that was
not is evidence only, since all the probes, or all their answers, may have been lost. Where both
contradict each other, the likelier threshold wins if it is much likelier; else the bracket spans the
contradiction and says that it is not sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

# Odds against a false "alive": the handshake's last segment lost, and the settling fooled (seen in 2 of 100
# at 20 % loss before the check that nothing disturbed the silence, never since).
_FALSE_ALIVE = 0.002
# The least odds against a false "dead", however many bursts went unanswered: losses come in clusters.
_FALSE_DEAD = 0.002
# Log-likelihood by which a threshold must beat its rivals: 20 to 1.
_SURE = 3.0


class Trial(NamedTuple):
    """How one silence ended. Ages in seconds."""

    alive: bool
    age: float  # alive: idle at least so long; dead: at most
    bursts: int = 1  # unanswered, for the dead

    def cost(self, loss: float) -> float:
        """The log-likelihood lost if this trial was wrong."""
        if self.alive:
            return -math.log(_FALSE_ALIVE)
        return -math.log(max(_FALSE_DEAD, min(1.0, max(loss, 0.01)) ** self.bursts))


class Bracket(NamedTuple):
    """The timeout is longer than `alive` and no longer than `dead` (None: not found)."""

    alive: float | None
    dead: float | None
    sure: bool = True

    @property
    def width(self) -> float:
        """Seconds between the two; infinite if one is missing."""
        if self.alive is None or self.dead is None:
            return math.inf
        return self.dead - self.alive


def bracket(trials: Iterable[Trial], loss: float = 0.0) -> Bracket:
    """Return the likeliest bracket. *loss*: the share of bursts lost on living connections."""
    ordered = sorted(trials, key=lambda trial: (trial.age, not trial.alive))
    if all(first.alive >= second.alive for first, second in pairwise(ordered)):
        return Bracket(*_around(ordered, sum(trial.alive for trial in ordered)))  # no contradiction to weigh
    # A threshold before the first, or after each trial: what is dead below it is wrong, and alive above.
    costs = [sum(trial.cost(loss) for trial in ordered if trial.alive)]
    for trial in ordered:
        cost = trial.cost(loss)
        costs.append(costs[-1] + (-cost if trial.alive else cost))
    best = min(range(len(costs)), key=costs.__getitem__)
    alive, dead = _around(ordered, best)
    span = [at for at, cost in enumerate(costs) if cost - costs[best] < _SURE]
    if span[0] == span[-1]:
        return Bracket(alive, dead)
    return Bracket(_around(ordered, span[0])[0], _around(ordered, span[-1])[1], sure=False)


def _around(ordered: Sequence[Trial], threshold: int) -> tuple[float | None, float | None]:
    """Return the longest survived silence below a threshold and the shortest deadly one above it."""
    alive = [trial.age for trial in ordered[:threshold] if trial.alive]
    dead = [trial.age for trial in ordered[threshold:] if not trial.alive]
    return (alive[-1] if alive else None), (dead[0] if dead else None)
