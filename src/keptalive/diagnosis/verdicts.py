"""From evidence to a verdict.

Rule: pure, and never a guess. What the evidence does not separate is named in `also`; where it contradicts
itself, or is not enough, the verdict is cannot-tell. Rules are tried in order; the first that has an opinion
decides. They are about the fates of the two arms; the control and the measurement made meanwhile tell apart
what looks the same in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from keptalive.diagnosis.evidence import Arm, Control, Evidence
from keptalive.diagnosis.fates import (
    GATEWAY_TIMEOUTS,
    Fate,
    data_was_stuck,
    fate,
    first_probe_went_unanswered,
    forgets,
    last_silence,
    longest_silence,
    never_stood,
    no_probe_had_left,
    probe_was_due,
    same_time,
    silence_kills,
    timers_of,
    turned_away,
)
from keptalive.diagnosis.result import Verdict

_SHORT = 3.0  # s: no box on the way forgets sooner, and no measurement was begun by then


class Ruling(NamedTuple):
    """What follows from evidence."""

    verdict: Verdict
    also: tuple[Verdict, ...] = ()


class Case(NamedTuple):
    """The evidence, and what became of the arms."""

    evidence: Evidence
    plain: Fate
    held: Fate


def judge(evidence: Evidence) -> Ruling:
    """Return the verdict."""
    case = Case(evidence, fate(evidence.plain, evidence.seconds), fate(evidence.held, evidence.seconds))
    for rule in _RULES if evidence.plain is not None else _RULES_FOR_ONE:
        if (ruling := rule(case)) is not None:
            return ruling
    return Ruling("cannot-tell")


def _unconnected(case: Case) -> Ruling | None:
    """No connection to be had, or only for one of the two."""
    fates = {case.plain, case.held} - {Fate.ABSENT}
    if not fates:
        return Ruling("cannot-tell")  # interrupted before anything happened
    if Fate.UNCONNECTED not in fates:
        return None
    none = fates == {Fate.UNCONNECTED} or all(map(never_stood, case.evidence.arms))
    return Ruling("unreachable") if none else Ruling("cannot-tell", ("unreachable", "outage"))


def _turned_away(case: Case) -> Ruling | None:
    """Every connection was ended as soon as it stood: nothing on the way forgets so soon."""
    if not all(map(turned_away, case.evidence.arms)):
        return None
    outcomes = {arm.outcome for arm in case.evidence.arms}
    if outcomes == {"closed"}:
        return Ruling("closed-by-peer", _by_proxy(case))
    return Ruling("reset-by-peer", ("closed-by-peer",) if len(outcomes) > 1 else ())


def _both_answered(case: Case) -> Ruling | None:
    """Nothing was lost; but what answered may be a gateway."""
    lives = case.held in (Fate.ANSWERED, Fate.LATE, Fate.ALIVE)
    if case.held is Fate.LATE or (case.plain is Fate.LATE and lives):
        # The question itself may have opened the path again, for an answer that had been waiting.
        return Ruling("cannot-tell", ("forgotten-silently", "slow-server"))
    if (case.plain, case.held) != (Fate.ANSWERED, Fate.ANSWERED):
        return None
    timeouts = [arm.status in GATEWAY_TIMEOUTS for arm in case.evidence.arms]
    if all(timeouts):
        return Ruling("gateway-timeout", _by_proxy(case))
    return Ruling("cannot-tell", ("gateway-timeout",)) if any(timeouts) else Ruling("slow-server")


def _held_lives_on(case: Case) -> Ruling | None:
    """The held arm was answered, or is alive: what of the plain one?"""
    if case.held not in (Fate.ANSWERED, Fate.ALIVE):
        return None
    evidence, plain = case.evidence, _arm(case.evidence.plain)
    if case.plain in (Fate.DEAD_SILENT, Fate.DEAD_RESET):
        if _gateway(evidence.held):
            return Ruling("cannot-tell", ("gateway-timeout", _forgotten(case.plain)))
        killed = silence_kills(evidence, last_silence(plain))
        if killed is False:
            return Ruling("cannot-tell", (_forgotten(case.plain), "state-lost"))
        return Ruling(_forgotten(case.plain), () if killed else ("state-lost",))
    if case.plain is Fate.RESET:
        by_path = forgets(evidence.ladder) and silence_kills(evidence, last_silence(plain))
        return Ruling("forgotten-reset", () if by_path else ("reset-by-peer",))
    if case.plain is Fate.ALIVE and case.held is Fate.ALIVE:
        return _both_wait(case)
    if case.plain is Fate.ANSWERED and not _gateway(plain):
        return Ruling("slow-server")
    also: dict[Fate, tuple[Verdict, ...]] = {
        Fate.CLOSED: ("closed-by-peer",),
        Fate.GAVE_UP: ("outage",),
        # It may have been forgotten, and let in again by the very question: the answer was lost all the same.
        Fate.ALIVE: ("slow-server", "forgotten-silently"),
        Fate.WAITING: ("slow-server", "forgotten-silently"),
    }
    return Ruling("cannot-tell", also.get(case.plain, ()))


def _both_wait(case: Case) -> Ruling:
    """Both connections live, and nobody answers: the server works, or what is behind a proxy is lost."""
    if case.evidence.request.proxy is not None:
        return Ruling("proxy-hop", ("slow-server",))
    return Ruling("slow-server", ("proxy-hop",))


def _held_closed(case: Case) -> Ruling | None:
    if case.held is not Fate.CLOSED:
        return None
    plain, held = _arm(case.evidence.plain), _arm(case.evidence.held)
    if case.plain is Fate.CLOSED and same_time(plain, held):
        return Ruling("closed-by-peer", _by_proxy(case))
    also: tuple[Verdict, ...] = ("closed-by-peer",)
    if case.plain in (Fate.DEAD_SILENT, Fate.DEAD_RESET):
        also += (_forgotten(case.plain),)
    return Ruling("cannot-tell", also)


def _both_reset(case: Case) -> Ruling | None:
    """Both were reset unasked."""
    if (case.plain, case.held) != (Fate.RESET, Fate.RESET):
        return None
    plain, held = _arm(case.evidence.plain), _arm(case.evidence.held)
    if not same_time(plain, held):
        return Ruling("cannot-tell", ("reset-by-peer", "forgotten-reset", "state-lost"))
    if not no_probe_had_left(held):
        return Ruling("reset-by-peer")
    killed = silence_kills(case.evidence, last_silence(held))  # it was silent too: a box may have done it
    if killed is None:
        return Ruling("reset-by-peer", ("idle-too-long",))
    return Ruling("idle-too-long" if killed else "reset-by-peer")


def _held_reset(case: Case) -> Ruling | None:
    """The held arm was reset; the plain one was not, unasked."""
    if case.held not in (Fate.RESET, Fate.DEAD_RESET):
        return None
    evidence, held = case.evidence, _arm(case.evidence.held)
    if _nobody_there(evidence.control):
        return Ruling("cannot-tell", ("state-lost", "outage"))
    if case.plain is not Fate.DEAD_RESET:
        also: tuple[Verdict, ...] = ("reset-by-peer", "state-lost")
        if case.plain is Fate.DEAD_SILENT:
            also += ("forgotten-silently",)
        return Ruling("cannot-tell", also)
    if (ruling := _too_slow(case)) is not None:
        return ruling
    if silence_kills(evidence, last_silence(_arm(evidence.plain))):
        return Ruling("cannot-tell", ("forgotten-reset", "reset-by-peer", "state-lost"))
    if case.held is Fate.RESET and not probe_was_due(held):
        return Ruling("cannot-tell", ("reset-by-peer", "state-lost"))
    return Ruling("state-lost")


def _held_died(case: Case) -> Ruling | None:
    """The held arm's probes went unanswered until the kernel gave up, or it was found dead."""
    if case.held not in (Fate.GAVE_UP, Fate.DEAD_SILENT):
        return None
    if data_was_stuck(_arm(case.evidence.held)):
        return _path_is_down(case) or Ruling("cannot-tell", ("outage",))
    return _path_is_down(case) or _filtered(case) or _died_though_path_is_up(case)


def _path_is_down(case: Case) -> Ruling | None:
    control = case.evidence.control
    if control is None:
        return Ruling("cannot-tell", ("outage", "idle-too-long", "probes-filtered"))
    if control.connected:
        return None
    return Ruling("outage") if _nobody_there(control) else Ruling("cannot-tell", ("state-lost", "outage"))


def _filtered(case: Case) -> Ruling | None:
    control, held = case.evidence.control, _arm(case.evidence.held)
    if control is None or control.probes == "answered":
        return None
    if held.answered_probes or control.data != "answered" or control.probes != "silent":
        return Ruling("cannot-tell", ("probes-filtered", "outage"))
    return Ruling("probes-filtered")


def _died_though_path_is_up(case: Case) -> Ruling:
    """A fresh connection is answered: it is this connection that died, and perhaps the other."""
    evidence = case.evidence
    if case.plain in (Fate.ALIVE, Fate.ANSWERED, Fate.LATE):
        if first_probe_went_unanswered(_arm(evidence.held)):
            return Ruling("cannot-tell", ("outage", "probes-filtered"))
        return Ruling("outage")  # the other connection outlived it
    if case.plain not in (Fate.DEAD_SILENT, Fate.DEAD_RESET):
        return Ruling("cannot-tell", ("outage", "state-lost"))
    if (ruling := _too_slow(case)) is not None:
        return ruling
    killed = silence_kills(evidence, last_silence(_arm(evidence.plain)))
    if killed:
        return Ruling("cannot-tell", (_forgotten(case.plain), "outage", "state-lost"))
    return Ruling("state-lost", ("outage",) if killed is False else ("outage", _forgotten(case.plain)))


def _too_slow(case: Case) -> Ruling | None:
    """Both are dead: was the held arm's keepalive too slow for the path?"""
    evidence, held, timers = case.evidence, _arm(case.evidence.held), timers_of(case.evidence)
    if first_probe_went_unanswered(held):
        killed = silence_kills(evidence, timers.idle)
        if killed is False:
            return None  # the path allows such a silence
        return Ruling("idle-too-long", () if killed else ("state-lost", "outage"))
    if timers.interval > timers.idle and last_silence(held) > timers.idle * 1.5:
        killed = silence_kills(evidence, last_silence(held))
        if killed is False:
            return None
        return Ruling("interval-too-long", () if killed else ("state-lost", "outage"))
    return None


# -- the held arm alone ---------------------------------------------------------------------------------


def _one_answered(case: Case) -> Ruling | None:
    """Would a plain request have been lost? The measurement says, if it had the time."""
    if case.held not in (Fate.ANSWERED, Fate.LATE):
        return None
    evidence, held = case.evidence, _arm(case.evidence.held)
    if _gateway(held):
        return Ruling("gateway-timeout", _by_proxy(case))
    silence = longest_silence(held)
    killed = silence_kills(evidence, silence)
    if killed and evidence.ladder is not None:
        return Ruling("forgotten-reset" if evidence.ladder.behaviour == "reset" else "forgotten-silently")
    if silence < _SHORT or killed is False:
        return Ruling("slow-server")
    return Ruling("cannot-tell", ("slow-server", "forgotten-silently", "forgotten-reset"))


def _one_waits(case: Case) -> Ruling | None:
    if case.held is Fate.CLOSED:
        return Ruling("closed-by-peer", _by_proxy(case))
    if case.held is Fate.ALIVE:
        return _both_wait(case)
    return None


def _one_died(case: Case) -> Ruling | None:
    """Without a twin the measurement has to say whether the keepalive was too slow."""
    if case.held is Fate.RESET:
        if no_probe_had_left(_arm(case.evidence.held)):
            return Ruling("cannot-tell", ("reset-by-peer", "idle-too-long"))
        if not probe_was_due(_arm(case.evidence.held)):
            return Ruling("reset-by-peer")
    elif data_was_stuck(_arm(case.evidence.held)):
        return _path_is_down(case) or Ruling("cannot-tell", ("outage",))
    elif case.held in (Fate.GAVE_UP, Fate.DEAD_SILENT):
        if (ruling := _path_is_down(case) or _filtered(case)) is not None:
            return ruling
    elif case.held is not Fate.DEAD_RESET:
        return None
    ruling = _too_slow(case)
    if ruling is not None and not ruling.also:
        return ruling
    return Ruling("cannot-tell", ("state-lost", "outage", *([ruling.verdict] if ruling else [])))


def _arm(arm: Arm | None) -> Arm:
    assert arm is not None
    return arm


def _nobody_there(control: Control | None) -> bool:
    """Tell whether not even a refusal came: a host that refuses is up."""
    return control is not None and not control.connected and control.error != "ECONNREFUSED"


def _gateway(arm: Arm | None) -> bool:
    return arm is not None and arm.status in GATEWAY_TIMEOUTS


def _forgotten(plain: Fate) -> Verdict:
    return "forgotten-reset" if plain is Fate.DEAD_RESET else "forgotten-silently"


def _by_proxy(case: Case) -> tuple[Verdict, ...]:
    return ("proxy-hop",) if case.evidence.request.proxy is not None else ()


_Rule = Callable[[Case], Ruling | None]
_RULES: tuple[_Rule, ...] = (
    _unconnected,
    _turned_away,
    _both_answered,
    _held_lives_on,
    _held_closed,
    _both_reset,
    _held_reset,
    _held_died,
)
_RULES_FOR_ONE: tuple[_Rule, ...] = (_unconnected, _turned_away, _one_answered, _one_waits, _one_died)
