"""What happened on an arm's connection, read from its samples: probes, their answers, data, repetitions.

Rule: pure, and only what the samples show. They are taken some times a second, so that a moment is right to
within that; several packets between two samples are one event.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

from keptalive.diagnosis.evidence import Arm, Sample

Kind = Literal[
    "answer",  # a packet without data came: to a probe of ours, or of the other end's own accord
    "probe",  # a probe went out, and stayed unanswered
    "again",  # data went out once more, since nobody acknowledged it
    "data",  # data came
]

_APART = 0.05  # s between two acknowledgements that are two: times of TCP_INFO are ticks


class Event(NamedTuple):
    """One thing that happened, in seconds since the diagnosis began."""

    at: float
    kind: Kind


def events(arm: Arm) -> list[Event]:
    """Return what happened between the request and the end, or the first question of ours."""
    began = arm.sent_at if arm.sent_at is not None else 0.0
    asked = arm.pokes[0].at if arm.pokes else float("inf")
    found = [event for pair in pairwise(arm.samples) for event in _between(*pair)]
    return [event for event in found if began + _APART < event.at < asked]


def _between(before: Sample, after: Sample) -> Iterator[Event]:
    if after.bytes_received > before.bytes_received:
        yield Event(after.at, "data")
    elif _last_ack(after) > _last_ack(before) + _APART and after.bytes_acked == before.bytes_acked:
        yield Event(_last_ack(after), "answer")
    if after.probes > before.probes:
        yield Event(after.at, "probe")
    if after.retransmits > before.retransmits:
        yield Event(after.at, "again")


def _last_ack(sample: Sample) -> float:
    return sample.at - sample.since_ack


def last_sign_of_life(arm: Arm) -> float | None:
    """Return when the last packet from the other end came, before anything was asked; None: none ever did."""
    asked = arm.pokes[0].at if arm.pokes else float("inf")
    signs = [at for at in (arm.connected_at, arm.last_answered_at, arm.answered_at) if at is not None]
    signs += [_last_ack(sample) for sample in arm.samples if sample.at <= asked]
    signs += [event.at for event in events(arm) if event.kind in ("answer", "data")]
    if arm.outcome in ("closed", "reset") and arm.ended_at is not None:
        signs.append(arm.ended_at)
    return max((at for at in signs if at < asked), default=None)
