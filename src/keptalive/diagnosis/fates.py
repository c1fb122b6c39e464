"""What became of an arm, read from its evidence: one word for each, and a few questions about it.

Rule: pure, and about one arm at a time; two arms together are `verdicts`' business.
"""

from __future__ import annotations

import math
from enum import Enum
from itertools import pairwise

from keptalive.diagnosis.evidence import Arm, Evidence, Timers
from keptalive.policy import TIMER_LATENESS
from keptalive.probing.result import ProbeResult
from keptalive.probing.signatures import AT_ONCE

#: Statuses by which a gateway says that the server behind it took too long: 504, and Cloudflare's own two.
GATEWAY_TIMEOUTS = (504, 522, 524)
_CLOSE = 1.0  # s by which ends may differ and still be the same
_CLOSE_PART = 0.1  # ... or this part of the time
_SHORTEST_MEMORY = 2.5  # s: no box forgets sooner; who dies so young dies of a restart or an outage
_PROMPT = 0.3  # s that an answer to a probe may take, beside the timer's lateness


class Fate(Enum):
    """How an arm ended, or what its connection is like while it waits."""

    ANSWERED = "answered"
    LATE = "answered, but only after it had been asked"
    CLOSED = "closed"
    RESET = "reset unasked"
    GAVE_UP = "given up by the kernel"
    UNCONNECTED = "no connection"
    ALIVE = "waiting, and alive"
    DEAD_SILENT = "waiting, and dead: questions are not answered"
    DEAD_RESET = "waiting, and dead: a question brought a reset"
    WAITING = "waiting, not asked"
    ABSENT = "was not run"


def fate(arm: Arm | None, seconds: float) -> Fate:
    """Return what became of an arm in a diagnosis that took so many seconds."""
    if arm is None:
        return Fate.ABSENT
    if arm.outcome == "answered":
        asked = arm.pokes and arm.answered_at is not None and arm.answered_at > arm.pokes[0].at
        return Fate.LATE if asked else Fate.ANSWERED
    if arm.outcome != "pending":
        return {
            "closed": Fate.CLOSED,
            "reset": Fate.RESET,
            "timed-out": Fate.GAVE_UP,
            "no-connection": Fate.UNCONNECTED,
        }[arm.outcome]
    if arm.last_reply is not None:
        return {
            "answered": Fate.ALIVE,
            "silent": Fate.DEAD_SILENT,
            "reset": Fate.DEAD_RESET,
            "closed": Fate.CLOSED,
        }[arm.last_reply]
    return Fate.ALIVE if _answers_by_itself(arm, seconds) else Fate.WAITING


def _answers_by_itself(arm: Arm, seconds: float) -> bool:
    """Tell whether the kernel's own probes were answered until the end."""
    if arm.timers is None or arm.last_answered_at is None or not arm.answered_probes:
        return False
    return seconds - arm.last_answered_at < late(arm.timers.period) + _CLOSE


def late(seconds: float) -> float:
    """Return when a timer of so many seconds has fired at the latest."""
    return seconds * (1 + TIMER_LATENESS) + _PROMPT


def same_time(one: Arm, other: Arm) -> bool:
    """Tell whether two arms ended after the same time."""
    if one.waited is None or other.waited is None:
        return False
    return abs(one.waited - other.waited) <= max(_CLOSE, _CLOSE_PART * max(one.waited, other.waited))


def turned_away(arm: Arm) -> bool:
    """Tell whether the other end ended the connection as soon as it stood, without a word."""
    if arm.outcome not in ("closed", "reset") or arm.status is not None:
        return False
    if arm.connected_at is None or arm.ended_at is None:
        return False
    return arm.ended_at - arm.connected_at < AT_ONCE


def never_stood(arm: Arm) -> bool:
    """Tell the same, also of a connection that was reset before connect() had returned."""
    return turned_away(arm) or (arm.outcome == "no-connection" and arm.error == "ECONNRESET")


def last_silence(arm: Arm) -> float:
    """Return the seconds of silence that the arm was in when it ended, or was asked first."""
    if arm.pokes and arm.outcome == "pending":
        return arm.pokes[0].idle_for
    end = arm.ended_at if arm.ended_at is not None else 0.0
    begin = arm.last_answered_at if arm.last_answered_at is not None else (arm.sent_at or 0.0)
    return max(0.0, end - begin)


def longest_silence(arm: Arm) -> float:
    """Return the longest time without a byte of the stream in either direction, from the request on."""
    begin = arm.sent_at or 0.0
    end = arm.ended_at if arm.ended_at is not None else begin
    moments, before = [begin], None
    for sample in arm.samples:
        stream = sample.bytes_acked, sample.bytes_received
        if before is not None and stream != before and begin < sample.at < end:
            moments.append(sample.at)
        before = stream
    return max(later - earlier for earlier, later in pairwise([*moments, max(begin, end)]))


def data_was_stuck(arm: Arm) -> bool:
    """Tell whether data of ours was under way, unacknowledged, at the end: no silence, and no keepalive."""
    asked = arm.pokes[0].at if arm.pokes else math.inf
    samples = [sample for sample in arm.samples if sample.at < asked]
    return arm.outcome in ("pending", "timed-out") and bool(samples) and samples[-1].unacked > 0


def first_probe_went_unanswered(arm: Arm) -> bool:
    """Tell whether the held arm's keepalive never had an answer."""
    return arm.timers is not None and arm.answered_probes == 0


def probe_was_due(arm: Arm) -> bool:
    """Tell whether the held arm's end came just when a probe of its own had left."""
    if arm.timers is None:
        return False
    period = arm.timers.period if arm.answered_probes else arm.timers.idle
    return period - _PROMPT <= last_silence(arm) <= late(period)


def no_probe_had_left(arm: Arm) -> bool:
    """Tell whether the held arm ended before its first probe was due: then it was as good as plain."""
    return (
        arm.timers is not None and not arm.answered_probes and last_silence(arm) < arm.timers.idle - _PROMPT
    )


# -- what the measurement meanwhile says ----------------------------------------------------------------


def forgets(ladder: ProbeResult | None) -> bool:
    """Tell whether idle connections were seen to be forgotten, and not to die of something else."""
    return (
        ladder is not None
        and ladder.dead_at is not None
        and ladder.dead_at >= _SHORTEST_MEMORY
        and ladder.behaviour in ("silent", "reset")
    )


def silence_kills(evidence: Evidence, silence: float) -> bool | None:
    """Tell whether the path forgets who is silent for so long; None if the measurement does not say."""
    ladder = evidence.ladder
    if ladder is None or ladder.behaviour in ("probes-filtered", "outage"):
        return None
    if forgets(ladder) and ladder.dead_at is not None and ladder.dead_at <= late(silence):
        return True
    if ladder.alive_at is not None and ladder.alive_at >= silence:
        return False
    return None


def timers_of(evidence: Evidence) -> Timers:
    """Return the held arm's keepalive."""
    assert evidence.held is not None and evidence.held.timers is not None
    return evidence.held.timers
