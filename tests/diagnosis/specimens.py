"""Evidence as it might be: an arm for each fate, a control and a measurement for each thing they can say."""

from __future__ import annotations

from dataclasses import replace

from keptalive.diagnosis.evidence import Arm, Control, Evidence, Outcome, Poke, Reply, Shape, Timers
from keptalive.diagnosis.fates import Fate
from keptalive.probing.result import ProbeResult
from keptalive.probing.signatures import Behaviour

SHAPE = Shape("GET", "http://server.example/slow", "server.example", 80, False)
SECONDS = 13.0  # that the diagnosis took
_ENDS: dict[Fate, tuple[Outcome, float | None, str | None]] = {
    Fate.ANSWERED: ("answered", 10.0, None),
    Fate.LATE: ("answered", 12.5, None),
    Fate.CLOSED: ("closed", 5.0, None),
    Fate.RESET: ("reset", 5.0, "ECONNRESET"),
    Fate.GAVE_UP: ("timed-out", 7.1, "ETIMEDOUT"),
    Fate.UNCONNECTED: ("no-connection", None, "ECONNREFUSED"),
}
_REPLIES: dict[Fate, Reply] = {
    Fate.ALIVE: "answered",
    Fate.DEAD_SILENT: "silent",
    Fate.DEAD_RESET: "reset",
}


def arm(
    fate: Fate,
    timers: Timers | None = None,
    *,
    status: int = 200,
    answered_probes: int | None = None,
    waited: float | None = None,
    last_answered_at: float | None = None,
) -> Arm | None:
    """Return an arm of that fate; its request was sent at 0.0, its last answer came when it should have."""
    if fate is Fate.ABSENT:
        return None
    outcome, ended_at, error = _ENDS.get(fate, ("pending", None, None))
    ended_at = ended_at if waited is None else waited
    pokes: tuple[Poke, ...] = ()
    if fate in _REPLIES:
        pokes = (Poke(12.0, "probes", _REPLIES[fate], 12.0 if timers is None else 1.0),)
    elif fate is Fate.LATE:
        pokes = (Poke(12.0, "probes", "answered", 12.0),)
    if timers is not None and answered_probes is None:
        answered_probes = 2
    if last_answered_at is None:
        period = 0 if timers is None else timers.period
        last_answered_at = period * (answered_probes or 0.0)
    return Arm(
        held=timers is not None,
        timers=timers,
        outcome=outcome,
        connected_at=None if fate is Fate.UNCONNECTED else 0.0,
        sent_at=None if fate is Fate.UNCONNECTED else 0.0,
        answered_at=ended_at if outcome == "answered" else None,
        ended_at=ended_at,
        status=status if outcome == "answered" else None,
        error=error,
        answered_probes=answered_probes or 0,
        last_answered_at=last_answered_at,
        pokes=pokes,
    )


CONTROLS: dict[str, Control | None] = {
    "none": None,
    "answers": Control(9.0, connected=True, probes="answered"),
    "filtered": Control(9.0, connected=True, probes="silent", data="answered"),
    "mute": Control(9.0, connected=True, probes="silent", data="silent"),
    "down": Control(9.0, connected=False, error="ETIMEDOUT"),
    "turned away": Control(9.0, connected=True, probes="reset"),
    "refused": Control(9.0, connected=False, error="ECONNREFUSED"),
}


def ladder(behaviour: Behaviour, alive_at: float | None, dead_at: float | None) -> ProbeResult:
    """Return a measurement."""
    return ProbeResult("server.example", 80, None, behaviour, alive_at, dead_at, True, None, 20, 12.0, 0.0)


LADDERS: dict[str, ProbeResult | None] = {
    "none": None,
    "short": ladder("unknown", 2.0, None),
    "forgets": ladder("silent", 4.9, 5.1),
    "resets": ladder("reset", 4.9, 5.1),
    "lives": ladder("outlived", 60.0, None),
    "filtered": ladder("probes-filtered", None, None),
    "outage": ladder("outage", 2.0, None),
}


def evidence(
    plain: Arm | None, held: Arm | None, control: str = "answers", measured: str = "none", proxy: bool = False
) -> Evidence:
    """Put evidence together."""
    shape = replace(SHAPE, proxy="proxy.example:3128", proxy_from="environment") if proxy else SHAPE
    return Evidence(
        shape, plain, held, CONTROLS[control], LADDERS[measured], SECONDS, 60.0, began="2026-11-27T06:45:00Z"
    )
