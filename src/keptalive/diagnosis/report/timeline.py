"""The drawing of a diagnosis: both arms over time, what they sent and got, and where the path had forgotten.

Rule: pure. Solid is where the other end is known to have been there, dotted where nothing more came from it.
"""

from __future__ import annotations

from keptalive.diagnosis.evidence import Arm, Control, Evidence
from keptalive.diagnosis.report.events import Event, Kind, events, last_sign_of_life
from keptalive.diagnosis.report.ladder import cross
from keptalive.diagnosis.report.markup import Markup, join, tag
from keptalive.diagnosis.report.scale import Scale
from keptalive.diagnosis.result import Diagnosis

_WIDTH, _LEFT, _RIGHT = 940, 132.0, 890.0
_TOP, _LANE = 16.0, 92.0
_FORGETS = ("forgotten-silently", "forgotten-reset", "idle-too-long", "interval-too-long")

_ENDS = {
    "closed": "closed by the other end (FIN)",
    "reset": "reset (RST)",
    "timed-out": "given up",
    "no-connection": "no connection",
    "pending": "still waiting",
}
_REPLIES = {
    "answered": "asked: alive",
    "silent": "asked: no answer",
    "reset": "asked: RST",
    "closed": "asked: closed",
}


def timeline(diagnosis: Diagnosis) -> Markup | None:
    """Return the drawing, or None where no arm was run."""
    evidence = diagnosis.evidence
    if not evidence.arms or not evidence.seconds:
        return None
    scale = Scale(0.0, evidence.seconds, _LEFT, _RIGHT)
    lanes = []
    for row, arm in enumerate(evidence.arms):
        lanes.append(_lane(arm, diagnosis, scale, _TOP + row * _LANE + 46))
    bottom = _TOP + len(evidence.arms) * _LANE
    if evidence.control is not None:
        lanes.append(_control(evidence.control, scale, bottom + 20))
        bottom += 44
    parts = [_grid(scale, bottom), *lanes]
    label = "Both requests over time"
    return tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {bottom + 34:.0f}", role="img", aria_label=label)


def _grid(scale: Scale, bottom: float) -> Markup:
    parts = []
    for seconds, text in scale.ticks():
        x = scale.at(seconds)
        parts.append(tag("line", class_="grid", x1=x, y1=_TOP, x2=x, y2=bottom))
        parts.append(tag("text", text, class_="soft middle", x=x, y=bottom + 19))
    parts.append(tag("line", class_="axis", x1=_LEFT, y1=bottom, x2=_RIGHT, y2=bottom))
    return join(*parts)


def _lane(arm: Arm, diagnosis: Diagnosis, scale: Scale, y: float) -> Markup:
    """Draw one request: its connection, what passed over it, its end, and what was asked of it then."""
    name = "held" if arm.held else "plain"
    parts: list[Markup | None] = [
        tag("text", name, class_="name", x=8, y=y - 6),
        tag("text", _subtitle(arm), class_="soft", x=8, y=y + 10),
    ]
    if arm.connected_at is None:
        over = _over(arm, diagnosis)
        parts += [_stretch("gone", 0.0, over, scale, y), cross(scale.at(over), y, 6)]
        return join(*parts, _label(_end(arm), scale.at(over), y - 14, "strong bad"))
    parts += [_line(arm, diagnosis, scale, y), _grave(_forgotten(arm, diagnosis), scale, y)]
    parts += [_mark(event, scale.at(event.at), y) for event in events(arm)]
    if arm.sent_at is not None:
        parts += _request(scale.at(arm.sent_at), y)
    parts += _questions(arm, scale, y)
    return join(*parts, _conclusion(arm, diagnosis.evidence, scale, y))


def _subtitle(arm: Arm) -> str:
    return f"keepalive {arm.timers}" if arm.timers is not None else "no keepalive"


def _line(arm: Arm, diagnosis: Diagnosis, scale: Scale, y: float) -> Markup:
    """The connection: solid until the last sign of life, then dotted, in another colour once it is dead."""
    begin, over = arm.connected_at or 0.0, _over(arm, diagnosis)
    life = last_sign_of_life(arm)
    alive = over if _known_alive(arm) else min(life if life is not None else begin, over)
    parts = [_stretch("alive", begin, alive, scale, y)]
    if alive < over:
        forgot = _forgotten(arm, diagnosis)
        dead = over if not _known_dead(arm) else alive if forgot is None else min(sum(forgot) / 2, over)
        parts += [_stretch("silent", alive, dead, scale, y), _stretch("gone", dead, over, scale, y)]
    return join(*parts)


def _over(arm: Arm, diagnosis: Diagnosis) -> float:
    return arm.ended_at if arm.ended_at is not None else diagnosis.evidence.seconds


def _stretch(how: str, begin: float, end: float, scale: Scale, y: float) -> Markup | None:
    if end <= begin:
        return None
    return tag("line", class_=f"{how} thick", x1=scale.at(begin), y1=y, x2=scale.at(end), y2=y)


def _known_alive(arm: Arm) -> bool:
    """Its end came from the other end, or it answered when it was asked."""
    return arm.outcome in ("answered", "closed") or arm.last_reply == "answered"


def _known_dead(arm: Arm) -> bool:
    return arm.outcome == "timed-out" or arm.last_reply in ("silent", "reset")


def _forgotten(arm: Arm, diagnosis: Diagnosis) -> tuple[float, float] | None:
    """Return between which moments the path forgot it: its measured timeout after the last packet."""
    ladder, life = diagnosis.evidence.ladder, last_sign_of_life(arm)
    if diagnosis.verdict not in _FORGETS or not _known_dead(arm) or ladder is None or life is None:
        return None
    if ladder.alive_at is None or ladder.dead_at is None:
        return None
    moments = life + ladder.alive_at, life + ladder.dead_at
    return moments if moments[1] <= _over(arm, diagnosis) else None


def _grave(moments: tuple[float, float] | None, scale: Scale, y: float) -> Markup | None:
    if moments is None:
        return None
    left, right = (scale.at(moment) for moment in moments)
    middle = (left + right) / 2
    return join(
        tag("rect", class_="zone-limit", x=left, y=y - 18, width=max(right - left, 2.0), height=36.0),
        cross(middle, y, 6),
        _label("forgotten by the path", middle, y + 34, "strong bad"),
    )


_WORDS: dict[Kind, str] = {
    "answer": "a packet without data came: the answer to a probe, or a probe of the other end's own",
    "probe": "a probe went out, and was not answered",
    "again": "data was sent again",
    "data": "data came",
}


def _mark(event: Event, x: float, y: float) -> Markup:
    """One packet on the connection's line; pointing at it tells which and when."""
    words = tag("title", f"{event.at:.2f} s: {_WORDS[event.kind]}")
    if event.kind == "answer":
        return tag("circle", words, class_="dot-alive", cx=x, cy=y, r=5.0)
    if event.kind == "probe":
        return tag("circle", words, class_="ring-dead", cx=x, cy=y, r=4.5)
    if event.kind == "again":
        return tag("path", words, class_="cross", d=f"M{x - 4:.1f} {y + 12:.1f}h8")
    return _arrow(x, y, words, up=False)


def _arrow(x: float, y: float, *words: Markup, up: bool) -> Markup:
    """Data: down to the connection when it comes, up from it when it goes."""
    tip, base = (y - 17, y - 6) if up else (y - 6, y - 17)
    return tag("path", *words, class_="data", d=f"M{x:.1f} {tip:.1f}L{x - 5:.1f} {base:.1f}h10z")


def _request(x: float, y: float) -> list[Markup]:
    return [_arrow(x, y, up=True), _label("request", x, y - 24, "of-data")]


def _questions(arm: Arm, scale: Scale, y: float) -> list[Markup]:
    """What was asked of a connection that had gone quiet: a diamond each, and what came of the last."""
    parts = []
    for poke in arm.pokes:
        x = scale.at(poke.at)
        parts.append(tag("path", class_="ask", d=f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z"))
    if arm.pokes:
        parts.append(_label(_REPLIES[arm.pokes[-1].reply], scale.at(arm.pokes[-1].at), y + 24, "asking"))
    return parts


def _conclusion(arm: Arm, evidence: Evidence, scale: Scale, y: float) -> Markup:
    """Mark the end, and write what it was."""
    if arm.ended_at is None:
        x = scale.at(evidence.seconds)
        tip = tag("path", class_="axis thin", d=f"M{x:.1f} {y - 5:.1f}l6 5l-6 5", fill="none")
        tone = "strong" if _known_alive(arm) else "strong bad"
        return join(tip, _label(_end(arm), x, y - 14, tone))
    x = scale.at(arm.ended_at)
    if arm.outcome == "answered":
        good = "strong good" if arm.status is not None and arm.status < 500 else "strong bad"
        return join(_arrow(x, y, up=False), _label(_end(arm), x, y - 24, good))
    mark = (
        cross(x, y, 6)
        if arm.outcome != "closed"
        else tag("rect", class_="box", x=x - 5, y=y - 5, width=10.0, height=10.0)
    )
    return join(mark, _label(_end(arm), x, y - 14, "strong bad"))


def _end(arm: Arm) -> str:
    waited = "" if arm.waited is None else f" after {arm.waited:.1f} s"
    if arm.outcome == "answered":
        return f"answer {arm.status}{waited}" if arm.status is not None else f"answer{waited}"
    error = f" ({arm.error})" if arm.error and arm.outcome in ("timed-out", "no-connection") else ""
    return f"{_ENDS[arm.outcome]}{error}{waited}"


def _control(control: Control, scale: Scale, y: float) -> Markup:
    """A fresh connection, made when one of the arms had ended."""
    x = scale.at(control.at)
    parts = [tag("text", "control", class_="name", x=8, y=y + 4)]
    if not control.connected:
        words = f"a fresh connection: {control.error or 'not to be had'}"
        return join(*parts, cross(x, y, 5), _label(words, x + 16, y + 4, "bad", anchor="start"))
    answered = control.probes == "answered"
    mark = tag("circle", class_="dot-alive" if answered else "ring-dead", cx=x, cy=y, r=5.0)
    words = (
        "a fresh connection: probes are answered"
        if answered
        else "a fresh connection: probes are not answered"
    )
    if control.data is not None:
        words += ", data is" if control.data == "answered" else ", nor is data"
    side = "end" if x > (_LEFT + _RIGHT) / 2 else "start"
    return join(*parts, mark, _label(words, x + (-16 if side == "end" else 16), y + 4, "soft", anchor=side))


def _label(text: str, x: float, y: float, class_: str, *, anchor: str | None = None) -> Markup:
    """Write beside a mark, so that nothing leaves the picture."""
    if anchor is None:
        anchor = "end" if x > _RIGHT - 90 else "start" if x < _LEFT + 60 else "middle"
    shift = {"end": 6, "start": -6, "middle": 0}[anchor]
    words = f"halo {class_} {'' if anchor == 'start' else anchor}".strip()
    return tag("text", text, class_=words, x=x + shift, y=y)
