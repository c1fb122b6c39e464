"""The drawing of a measurement: each silence that was tried, how it ended, and the timeout between them.

Rule: pure. What it draws was seen; where a connection died is only drawn as within the bracket.
"""

from __future__ import annotations

from keptalive.diagnosis.report.markup import Markup, join, tag
from keptalive.diagnosis.report.scale import Scale
from keptalive.policy import Policy
from keptalive.probing.result import ProbeResult

_WIDTH, _LEFT, _RIGHT, _TOP = 940, 132.0, 912.0, 34.0
_RUNGS = 300.0  # height of all rungs together, where they fit
_THINNEST, _THICKEST = 5.0, 13.0
_NARROW = 0.08  # a bracket that is a smaller part of the picture is drawn again, enlarged


def ladder(result: ProbeResult) -> Markup | None:
    """Return the drawing, or None where no silence ended."""
    ages = [trial.age for trial in result.trials] + [end.since_connected for end in result.ends]
    if not ages:
        return None
    scale = Scale(0.0, max(ages) * 1.04, _LEFT, _RIGHT)
    count = len(ages)
    step = min(_THICKEST, max(_THINNEST, _RUNGS / count))
    bottom = _TOP + count * step + step / 2
    parts = [
        _zones(result, scale, bottom),
        _axis(scale, bottom),
        _rungs(result, scale, step),
        _limit(result, scale),
    ]
    height = bottom + 44
    if result.policy is not None and result.behaviour in ("silent", "reset"):
        parts.append(_policy(result.policy, scale, result.alive_at or scale.last, height))
        height += 34
    if _is_narrow(result, scale):
        parts.append(_lens(result, height))
        height += 96
    label = "Silences that were tried, and how each connection ended"
    return tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {height:.0f}", role="img", aria_label=label)


def timeout(result: ProbeResult) -> str:
    """Return the idle timeout that was found, with how far it may be off."""
    middle, dead = result.idle_timeout or 0.0, result.dead_at or 0.0
    return f"{middle:.2f} s ± {dead - middle:.2f} s{'' if result.sure else ', not sure'}"


def _zones(result: ProbeResult, scale: Scale, bottom: float) -> Markup:
    """Colour what is proved harmless, and what is proved deadly."""
    parts = []
    if result.alive_at is not None:
        parts.append(_zone("zone-alive", _LEFT, scale.at(result.alive_at), bottom))
    if result.dead_at is not None:
        parts.append(_zone("zone-dead", scale.at(result.dead_at), _RIGHT, bottom))
        if result.alive_at is not None:
            left = scale.at(result.alive_at)
            parts.append(_zone("zone-limit", left, max(scale.at(result.dead_at), left + 1.5), bottom))
    return join(*parts)


def _zone(class_: str, left: float, right: float, bottom: float) -> Markup:
    return tag("rect", class_=class_, x=left, y=_TOP - 6, width=right - left, height=bottom - _TOP + 6)


def _axis(scale: Scale, bottom: float) -> Markup:
    parts = [tag("line", class_="axis", x1=_LEFT, y1=bottom, x2=_RIGHT, y2=bottom)]
    for seconds, text in scale.ticks():
        x = scale.at(seconds)
        parts.append(tag("line", class_="axis", x1=x, y1=bottom, x2=x, y2=bottom + 5))
        parts.append(tag("text", text, class_="soft middle", x=x, y=bottom + 19))
    parts.append(tag("text", "silence", class_="soft", x=8, y=bottom + 19))
    return join(*parts)


def _rungs(result: ProbeResult, scale: Scale, step: float) -> Markup:
    """One line a connection, the shortest silence first."""
    rungs = [(trial.age, "alive" if trial.alive else "dead") for trial in result.trials]
    rungs += [(end.since_connected, end.kind) for end in result.ends]
    parts = [tag("text", f"{len(rungs)} silences", class_="name", x=8, y=_TOP + 8)]
    for row, (age, how) in enumerate(sorted(rungs)):
        y, x = _TOP + (row + 0.5) * step, scale.at(age)
        died = result.alive_at if how == "dead" and result.alive_at is not None else age
        lived = scale.at(min(died, age)) if how != "dead" or result.alive_at is not None else _LEFT
        parts.append(tag("line", class_="alive thin", x1=_LEFT, y1=y, x2=lived, y2=y))
        if how == "dead":
            parts.append(tag("line", class_="gone thin", x1=lived, y1=y, x2=x, y2=y))
        parts.append(_mark(how, age, x, y))
    return join(*parts)


_WORDS = {
    "alive": "alive",
    "dead": "dead",
    "fin": "closed by the other end",
    "reset": "reset by the other end",
    "error": "ended with an error",
}


def _mark(how: str, age: float, x: float, y: float) -> Markup:
    """How a silence ended; pointing at it tells the figure."""
    words = tag("title", f"{age:.3f} s: {_WORDS[how]}")
    if how == "alive":
        return tag("circle", words, class_="dot-alive", cx=x, cy=y, r=3.0)
    if how == "dead":
        return cross(x, y, 3.5, words)
    return tag("rect", words, class_="box", x=x - 3, y=y - 3, width=6.0, height=6.0)


def cross(x: float, y: float, size: float, *words: Markup) -> Markup:
    """Return the mark for death."""
    near, far, up, down = x - size, x + size, y - size, y + size
    path = f"M{near:.1f} {up:.1f}L{far:.1f} {down:.1f}M{near:.1f} {down:.1f}L{far:.1f} {up:.1f}"
    return tag("path", *words, class_="cross", d=path)


def _limit(result: ProbeResult, scale: Scale) -> Markup | None:
    """Write the timeout over the bracket."""
    if result.dead_at is not None and result.idle_timeout is not None:
        half = result.dead_at - result.idle_timeout
        text, x = (
            f"forgets at {result.idle_timeout:.2f} s, give or take {half:.2f} s",
            scale.at(result.idle_timeout),
        )
    elif result.closed_after is not None:
        text, x = f"closed by the other end at {result.closed_after:.1f} s", scale.at(result.closed_after)
    elif result.alive_at is not None:
        text, x = f"alive up to {result.alive_at:.1f} s", scale.at(result.alive_at)
    else:
        return None
    side = "end" if x > (_LEFT + _RIGHT) / 2 else ""
    bad = "bad" if result.dead_at is not None else ""
    return tag("text", text, class_=f"strong {bad} {side}".strip(), x=x + (6 if side else -6), y=18.0)


def _policy(policy: Policy, scale: Scale, alive: float, top: float) -> Markup:
    """Show the probes that the policy sends into a silence before the path forgets."""
    y = top + 4
    sent = [policy.idle + n * policy.interval for n in range(policy.count)]
    in_time = [seconds for seconds in sent if seconds <= alive]
    parts = [
        tag("text", "keepalive", class_="name", x=8, y=y + 4),
        tag("line", class_="grid", x1=_LEFT, y1=y, x2=scale.at(alive), y2=y),
        *(tag("circle", class_="dot-alive", cx=scale.at(seconds), cy=y, r=4.0) for seconds in in_time),
    ]
    words = f"{policy}: {len(in_time)} probes before it forgets, each of which would do"
    parts.append(tag("text", words, class_="soft", x=_LEFT, y=y + 20))
    return join(*parts)


def _is_narrow(result: ProbeResult, scale: Scale) -> bool:
    if result.alive_at is None or result.dead_at is None:
        return False
    return 0 < (result.dead_at - result.alive_at) / scale.last < _NARROW


def _lens(result: ProbeResult, top: float) -> Markup:
    """Draw what is around the timeout once more, enlarged."""
    alive, dead = result.alive_at or 0.0, result.dead_at or 0.0
    margin = 2.5 * (dead - alive)
    scale = Scale(max(0.0, alive - margin), dead + margin, _LEFT, _RIGHT)
    up, down, axis = top + 26, top + 46, top + 62
    left, right = scale.at(alive), scale.at(dead)
    parts = [
        tag("text", "enlarged", class_="name", x=8, y=top + 40),
        tag("rect", class_="zone-alive", x=_LEFT, y=top + 12, width=left - _LEFT, height=50.0),
        tag("rect", class_="zone-limit", x=left, y=top + 12, width=right - left, height=50.0),
        tag("rect", class_="zone-dead", x=right, y=top + 12, width=_RIGHT - right, height=50.0),
        tag("line", class_="axis", x1=_LEFT, y1=axis, x2=_RIGHT, y2=axis),
    ]
    for trial in result.trials:
        if scale.first <= trial.age <= scale.last:
            x = scale.at(trial.age)
            how, y = ("alive", up) if trial.alive else ("dead", down)
            parts.append(_mark(how, trial.age, x, y))
    for seconds, text in scale.ticks(8):
        x = scale.at(seconds)
        parts.append(tag("line", class_="axis", x1=x, y1=axis, x2=x, y2=axis + 5))
        parts.append(tag("text", text, class_="soft middle", x=x, y=axis + 19))
    return join(*parts)
