"""What a measurement found, as a value.

Rule: frozen, and nothing in it that was not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from keptalive.policy import TIMER_LATENESS, Policy
from keptalive.presets import Preset, fitting
from keptalive.probing.estimate import Trial
from keptalive.probing.signatures import Behaviour, Ended, Evidence, caveats, closed_after, who_ended

# A policy for less is impossible: Policy.for_idle_timeout() says why.
_SHORTEST = 1.5
# Where the timeout was not found, a shorter proof is none that the default policy is too slow: nothing longer
# was tried, and what follows from the little that was would probe every second for nothing.
_ENOUGH = Policy().idle * (1 + TIMER_LATENESS)


@dataclass(frozen=True)
class ProbeResult:
    """How long a connection on a path may be idle, and what happens then. Times in seconds."""

    host: str
    port: int
    address: str | None  # the one that was measured, "ADDR:PORT"
    behaviour: Behaviour
    alive_at: float | None  # a connection idle for so long was proved alive
    dead_at: float | None  # one idle for so long was dead
    sure: bool  # False: the evidence contradicts itself, or is not complete
    closed_after: float | None  # the peer closes so long after the connection was made, or spoke last
    connections: int  # that were opened
    seconds: float
    loss: float  # share of questions without an answer on living connections
    error: str | None = None  # why there was no connection
    caveats: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = field(default=(), repr=False)  # the silences that were tried
    ends: tuple[Ended, ...] = field(default=(), repr=False)  # connections that were ended from afar, unasked

    @property
    def idle_timeout(self) -> float | None:
        """The middle of the bracket, or None if one of its sides was not found."""
        if self.alive_at is None or self.dead_at is None:
            return None
        return (self.alive_at + self.dead_at) / 2

    @property
    def policy(self) -> Policy | None:
        """The policy that keeps such a path open: for the longest silence that was proved harmless.

        None where nothing was proved, where keepalive is of no use, and where the timeout was not found and
        what was survived is shorter than the default policy's silence.
        """
        return None if self.too_short else self.proved_policy

    @property
    def proved_policy(self) -> Policy | None:
        """The policy for the longest silence that was proved harmless, however short; else None."""
        useless = self.behaviour in ("probes-filtered", "closed-by-peer")
        if self.alive_at is None or self.alive_at < _SHORTEST or useless:
            return None
        return Policy.for_idle_timeout(self.alive_at)

    @property
    def too_short(self) -> bool:
        """True if the timeout was not found, and too little was tried for a policy to rest on."""
        return self.dead_at is None and self.alive_at is not None and self.alive_at < _ENOUGH

    @property
    def presets(self) -> tuple[Preset, ...]:
        """The known middleboxes that this could be."""
        if self.behaviour == "closed-by-peer" and self.closed_after is not None:
            found = fitting(self.closed_after, self.closed_after)
            return tuple(preset for preset in found if not preset.keepalive_helps)
        if self.behaviour in ("silent", "reset") and self.alive_at is not None and self.dead_at is not None:
            found = fitting(self.alive_at, self.dead_at)
            return tuple(preset for preset in found if preset.keepalive_helps)
        return ()

    def row(self) -> dict[str, Any]:
        """Return it as --json shows it."""
        return {
            "host": self.host,
            "port": self.port,
            "address": self.address,
            "behaviour": self.behaviour,
            "alive_at": _rounded_down(self.alive_at),
            "dead_at": _rounded_up(self.dead_at),
            "idle_timeout": _rounded(self.idle_timeout),
            "sure": self.sure,
            "closed_after": _rounded(self.closed_after),
            "connections": self.connections,
            "seconds": _rounded(self.seconds),
            "loss": round(self.loss, 4),
            "policy": None if self.policy is None else str(self.policy),
            "presets": [preset.name for preset in self.presets],
            "error": self.error,
            "caveats": list(self.caveats),
        }


def numbers(result: ProbeResult) -> list[tuple[str, str]]:
    """Return what was measured, in words: (what, how much). Rounded so that nothing is claimed unproved."""
    rows = []
    if result.alive_at is not None:
        rows.append(("alive after", f"{math.floor(result.alive_at * 100) / 100:.2f} s idle"))
    if result.dead_at is not None:
        rows.append(("dead after", f"{math.ceil(result.dead_at * 100) / 100:.2f} s idle"))
    if result.idle_timeout is not None and result.dead_at is not None:
        sure = "" if result.sure else ", not sure"
        half = result.dead_at - result.idle_timeout
        rows.append(("timeout", f"{result.idle_timeout:.2f} s, give or take {half:.2f} s{sure}"))
    if result.closed_after is not None:
        rows.append(("closed by the other end after", f"{result.closed_after:.2f} s"))
    rows.append(("measured with", f"{result.connections} connections in {result.seconds:.1f} s"))
    return rows


def conclude(
    evidence: Evidence,
    behaviour: Behaviour,
    *,
    host: str,
    port: int,
    address: str | None,
    connections: int,
    seconds: float,
    error: str | None = None,
    more: tuple[str, ...] = (),
) -> ProbeResult:
    """Put together what was found."""
    found = evidence.bracket()
    by_peer = behaviour == "closed-by-peer" or who_ended(evidence.ends, evidence.living) == "peer"
    return ProbeResult(
        host=host,
        port=port,
        address=address,
        behaviour=behaviour,
        alive_at=found.alive,
        dead_at=None if behaviour == "outage" else found.dead,  # what died then did not die of silence
        sure=found.sure and behaviour not in ("unknown", "outage"),
        closed_after=closed_after(evidence) if by_peer else None,
        connections=connections,
        seconds=seconds,
        loss=evidence.loss,
        error=error,
        caveats=(*caveats(evidence, behaviour), *more),
        trials=tuple(evidence.trials),
        ends=tuple(evidence.ends),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _rounded_down(seconds: float | None) -> float | None:
    """Return milliseconds that are proved, not one more."""
    return None if seconds is None else math.floor(seconds * 1000) / 1000


def _rounded_up(seconds: float | None) -> float | None:
    return None if seconds is None else math.ceil(seconds * 1000) / 1000
