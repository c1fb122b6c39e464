"""A verdict in words: its sentence with figures, and what was seen, arm by arm.

Rule: pure; every figure is from the evidence. What comes from the network (an error's name, a header) is
passed on as it is: who prints, escapes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from keptalive.diagnosis.evidence import Arm, Control, Evidence
from keptalive.diagnosis.fates import Fate, fate, forgets, last_silence
from keptalive.diagnosis.particulars import given, particular, unanswered
from keptalive.diagnosis.remedies import INTERRUPTED, MEANINGS
from keptalive.diagnosis.result import Diagnosis, Verdict
from keptalive.diagnosis.snippets import code_for
from keptalive.diagnosis.verdicts import Ruling, judge
from keptalive.errors import PolicyError
from keptalive.policy import Policy
from keptalive.probing.result import ProbeResult

_SURVIVED = 3.0  # s: a silence that was survived is proof, whatever else the measurement has come to
#: Verdicts whose remedy is a policy.
_WITH_POLICY = ("forgotten-silently", "forgotten-reset", "idle-too-long", "interval-too-long")


def conclude(evidence: Evidence) -> Diagnosis:
    """Judge, and put the verdict into words."""
    ruling = judge(evidence)
    meaning = MEANINGS[ruling.verdict]
    policy = _policy(evidence, ruling.verdict)
    figures = _figures(evidence, ruling)
    case = particular(evidence, ruling.verdict, figures["error"])
    sentence, steps = (None, meaning.steps) if case is None else case
    told = ruling.verdict != "slow-server" or not unanswered(evidence)
    return Diagnosis(
        verdict=ruling.verdict,
        sentence=sentence or meaning.sentence.format_map(figures),
        because=tuple(_because(evidence)),
        keepalive_helps=meaning.helps if told else None,
        policy=policy,
        steps=INTERRUPTED if evidence.interrupted and ruling.verdict == "cannot-tell" else steps,
        code=code_for(policy, evidence.seconds),
        also_possible=ruling.also,
        evidence=evidence,
    )


def _policy(evidence: Evidence, verdict: Verdict) -> Policy | None:
    """Return what to use: by the measured timeout, else what the held arm proved."""
    if verdict not in _WITH_POLICY:
        return None
    ladder, held = evidence.ladder, evidence.held
    survived = None if ladder is None else ladder.alive_at
    if ladder is not None and (forgets(ladder) or (survived or 0.0) >= _SURVIVED) and ladder.proved_policy:
        return ladder.proved_policy
    if held is None or held.timers is None:
        return None
    timers = held.timers
    try:
        if verdict == "interval-too-long":
            return Policy.for_idle_timeout(timers.idle)  # such a silence was survived
        if verdict == "idle-too-long":
            return None
        return Policy(timers.idle, min(timers.idle, timers.interval), timers.count, timers.user_timeout)
    except PolicyError:
        return None


# -- the sentence ---------------------------------------------------------------------------------------


def _figures(evidence: Evidence, ruling: Ruling) -> dict[str, str]:
    """Return what the sentences of `remedies` may name; "" where it is not known."""
    held = evidence.held
    last = evidence.arms[-1] if evidence.arms else None
    waited = max((arm.waited for arm in evidence.arms if arm.waited is not None), default=None)
    statuses = sorted({arm.status or 0 for arm in evidence.arms if arm.outcome == "answered"})
    plain_answered = evidence.plain is not None and evidence.plain.outcome == "answered"
    pending = any(arm.outcome == "pending" for arm in evidence.arms)
    after = "" if waited is None else f" after {waited:.1f} s"
    statuses_after = f" (status {', '.join(str(status) for status in statuses)}{after})" if statuses else ""
    return {
        "silence": _silence(evidence),
        "waited": after,
        "waiting": f"; the other request still waits after {given(evidence)} s, and its connection lives"
        if pending
        else "",
        "answered": statuses_after,
        "status": str(next(iter(statuses), "")),
        "timers": "" if held is None else f" ({held.timers})",
        "harm": ", it ends requests that would have been answered" if plain_answered else "",
        "error": "" if last is None or last.error is None else f" ({_in_words(last.error)})",
        "also": f"; it may be {' or '.join(ruling.also)}" if ruling.also else "",
    }


def _silence(evidence: Evidence) -> str:
    """Return " for so long", from the measurement, or from the arm that died of it."""
    ladder = evidence.ladder
    if ladder is not None and forgets(ladder) and ladder.dead_at is not None:
        if ladder.alive_at is not None:
            return f" for {ladder.alive_at:.1f} to {ladder.dead_at:.1f} s"
        return f" for {ladder.dead_at:.1f} s"
    plain = evidence.plain
    if plain is not None and plain.outcome in ("pending", "reset") and (plain.pokes or plain.ended_at):
        return f" for {last_silence(plain):.0f} s or less"
    return ""


# -- what was seen ----------------------------------------------------------------------------------------


def _because(evidence: Evidence) -> Iterator[str]:
    for arm in evidence.arms:
        yield _told(arm, evidence)
    if evidence.plain is None and evidence.held is not None and evidence.held.connected_at is not None:
        yield "The request was sent once, held: it may not be repeated without --twice."
    if evidence.control is not None:
        yield _control(evidence.control)
    if evidence.ladder is not None and evidence.ladder.alive_at is not None:
        yield _ladder(evidence.ladder)
    if evidence.request.proxy is not None:
        source = " (from the environment)" if evidence.request.proxy_from == "environment" else ""
        yield (
            f"All of it went through the proxy {evidence.request.proxy}{source}: what was seen of "
            f"connections is about the way to the proxy."
        )


def _told(arm: Arm, evidence: Evidence) -> str:
    name = f"Held ({arm.timers})" if arm.held else "Plain"
    after = "" if arm.waited is None else f" after {arm.waited:.1f} s"
    probes = ""
    if arm.held and arm.answered_probes:
        probes = (
            f"; {arm.answered_probes} keepalive probe{'s' * (arm.answered_probes > 1)} answered meanwhile"
        )
    elif arm.held and arm.outcome in ("timed-out", "pending"):
        probes = "; no keepalive probe was answered"
    silent = f" ({arm.pokes[0].idle_for:.1f} s silent)" if arm.pokes else ""
    by_data = ", nor was data acknowledged" if any(poke.kind == "data" for poke in arm.pokes) else ""
    said = {
        Fate.ANSWERED: f"answered with status {arm.status}{after}",
        Fate.LATE: f"answered with status {arm.status}{after}, just after its connection had been asked",
        Fate.CLOSED: f"closed by the other end{after}, {_cut(arm)}",
        Fate.RESET: f"reset{after}, {_cut(arm)}",
        Fate.GAVE_UP: f"given up by this kernel{after} ({_in_words(arm.error)})",
        Fate.UNCONNECTED: f"no connection ({_in_words(arm.error)})",
        Fate.ALIVE: f"no answer in {given(evidence)} s, but its connection is alive",
        Fate.DEAD_SILENT: f"no answer, and its connection{silent} is dead: probes were not answered{by_data}",
        Fate.DEAD_RESET: f"no answer, and its connection{silent} is dead: a probe brought a reset",
        Fate.WAITING: f"no answer in {given(evidence)} s",
    }[fate(arm, evidence.seconds)]
    return f"{name}: {said}{probes}."


def _in_words(error: str | None) -> str:
    """Return an error as the system words it, "Connection refused"; the record has the name of its number."""
    number = getattr(errno, error or "", None)
    return os.strerror(number) if isinstance(number, int) else str(error)


def _cut(arm: Arm) -> str:
    if arm.status is None:
        return "before any answer"
    return f"in the middle of an answer (status {arm.status}, {arm.bytes_received} bytes of its body)"


def _control(control: Control) -> str:
    if not control.connected:
        return f"Control: a fresh connection was not to be had ({_in_words(control.error)})."
    if control.probes == "answered":
        return "Control: a fresh connection answers probes."
    if control.probes in ("reset", "closed"):
        return f"Control: a fresh connection, on which nothing was asked for, was {control.probes} as well."
    data = " but acknowledges data" if control.data == "answered" else ""
    return f"Control: a fresh connection does not answer probes{data}."


def _ladder(ladder: ProbeResult) -> str:
    sure = "" if ladder.sure or ladder.dead_at is None else " (not complete)"
    dead = "" if not forgets(ladder) else f", dead after {ladder.dead_at:.2f} s"
    return f"Idle connections, {ladder.connections} of them: alive after {ladder.alive_at:.2f} s{dead}{sure}."
