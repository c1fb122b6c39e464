"""The page of a diagnosis.

Rule: pure; verdict, reasons and steps are the diagnosis' own words, and everything else is its evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keptalive.diagnosis.evidence import Arm, Evidence, Poke
from keptalive.diagnosis.report.ladder import ladder, timeout
from keptalive.diagnosis.report.markup import Markup
from keptalive.diagnosis.report.page import code, fact, figure, listing, note, page, section, table
from keptalive.diagnosis.report.timeline import timeline
from keptalive.diagnosis.result import Diagnosis
from keptalive.probing.result import numbers

_SIDES = {
    "network": "Network",
    "server": "Server",
    "proxy": "Proxy",
    "client": "Program",
}


def diagnosis_page(diagnosis: Diagnosis) -> str:
    """Return the page."""
    evidence = diagnosis.evidence
    request = evidence.request
    where = f"{request.method} {request.url}"
    took = f"Began {evidence.began.replace('T', ' ').replace('Z', ' UTC')}, took {evidence.seconds:.0f} s."
    return page(
        f"{diagnosis.verdict}: {where}",
        kind="Diagnosis of a request",
        where=where,
        sentence=("Interrupted. " if evidence.interrupted else "") + diagnosis.sentence,
        facts=_facts(diagnosis),
        body=_body(diagnosis),
        footer=(
            took,
            "This page holds no values of headers, no cookies, no passwords, no query string and no body.",
        ),
    )


def _facts(diagnosis: Diagnosis) -> Iterator[Markup]:
    yield fact("Verdict", diagnosis.verdict)
    helps = {True: ("yes", "good"), False: ("no", None), None: ("not needed, or not told", None)}
    words, tone = helps[diagnosis.keepalive_helps]
    yield fact("Does TCP keepalive help?", words, tone=tone)
    measured = diagnosis.evidence.ladder
    if measured is not None and measured.idle_timeout is not None:
        yield fact("Idle timeout of the path", timeout(measured), tone="bad")
    policy = diagnosis.policy
    if policy is not None:
        yield fact(
            "Policy", f"idle {policy.idle} s, interval {policy.interval} s, count {policy.count}", tone="good"
        )


def _body(diagnosis: Diagnosis) -> Iterator[Markup]:
    evidence = diagnosis.evidence
    drawing = timeline(diagnosis)
    if drawing is not None:
        yield section("What happened", figure(drawing, _CAPTION))
    if diagnosis.because:
        yield section("How that is known", listing(diagnosis.because))
    if diagnosis.also_possible:
        yield note("This evidence does not rule out: ", ", ".join(diagnosis.also_possible), ".")
    if diagnosis.steps:
        order = list(_SIDES)
        steps = sorted(diagnosis.steps, key=lambda step: order.index(step.who))
        yield section(
            "What to change, on which side",
            table(("Side", "What"), [(_SIDES[step.who], step.what) for step in steps], class_="sides"),
        )
    yield section("Evidence", _requests(evidence), *_around(evidence))
    measured = ladder(evidence.ladder) if evidence.ladder is not None else None
    if evidence.ladder is not None and measured is not None:
        caption = "; ".join(f"{name} {text}" for name, text in numbers(evidence.ladder))
        caption = f"{caption[0].upper()}{caption[1:]}."
        yield section("The path, measured meanwhile on idle connections", figure(measured, caption))
    if diagnosis.code:
        yield section("In the program", _code(diagnosis.code))


_CAPTION = (
    "Each request from its connection to its end. Solid: the other end was there. Dotted: nothing more came "
    "from it. A dot: it answered a keepalive probe. A ring: a probe that it did not answer. A blue triangle: "
    "data, away from the line when it was sent, towards it when it came. A diamond: the connection was asked "
    "afterwards whether it lives."
)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f} s"


def _segments(arm: Arm) -> str | None:
    if not arm.samples:
        return None
    last = arm.samples[-1]
    return f"{last.segments_out}, {last.segments_in}"


def _pokes(pokes: tuple[Poke, ...]) -> str | None:
    said = [f"{poke.kind} after {poke.idle_for:.1f} s of silence: {poke.reply}" for poke in pokes]
    return "; ".join(said) or None


#: What is shown of each arm, a row each; one that is empty for all is left out.
_ROWS: tuple[tuple[str, Callable[[Arm], object]], ...] = (
    ("keepalive", lambda arm: arm.timers if arm.timers is not None else "off"),
    ("connection", lambda arm: None if arm.local is None else f"{arm.local} → {arm.remote}"),
    ("request sent", lambda arm: _seconds(arm.sent_at)),
    ("end", lambda arm: {"timed-out": "given up by this kernel"}.get(arm.outcome, arm.outcome)),
    ("error", lambda arm: arm.error),
    ("waited for it", lambda arm: _seconds(arm.waited)),
    ("status", lambda arm: arm.status),
    ("Server", lambda arm: arm.server),
    ("Via", lambda arm: arm.via),
    ("body received", lambda arm: f"{arm.bytes_received} bytes" if arm.status is not None else None),
    ("probes answered", lambda arm: arm.answered_probes if arm.timers is not None else None),
    ("last sign of life before", lambda arm: _seconds(arm.last_answered_at)),
    ("segments out, in", _segments),
    ("asked afterwards", lambda arm: _pokes(arm.pokes)),
)


def _requests(evidence: Evidence) -> Markup:
    """The arms, side by side."""
    arms = evidence.arms
    rows = []
    for name, show in _ROWS:
        cells = [show(arm) for arm in arms]
        if any(cell is not None for cell in cells):
            rows.append((name, *("-" if cell is None else cell for cell in cells)))
    return table(("", *("held" if arm.held else "plain" for arm in arms)), rows, class_="facts-of")


def _around(evidence: Evidence) -> Iterator[Markup]:
    """What was known of the request, and the control."""
    request = evidence.request
    rows: list[tuple[str, object]] = [
        ("request", f"{request.method} {request.url}"),
        ("to", f"{request.host}:{request.port}" + (", TLS" if request.tls else "")),
    ]
    if request.proxy is not None:
        rows.append(("proxy", f"{request.proxy}, from the {request.proxy_from}"))
    if request.header_names:
        rows.append(("headers given", ", ".join(request.header_names)))
    if request.body_bytes:
        rows.append(("body", f"{request.body_bytes} bytes"))
    if request.redirects:
        rows.append(("redirects followed", request.redirects))
    control = evidence.control
    if control is not None:
        made = "made" if control.connected else f"not to be had ({control.error})"
        probes = "" if control.probes is None else f"; probes: {control.probes}"
        data = "" if control.data is None else f"; data: {control.data}"
        rows.append((f"fresh connection at {control.at:.1f} s", f"{made}{probes}{data}"))
    yield table(("", "both requests"), rows, class_="facts-of")


def _code(lines: dict[str, str]) -> Markup:
    """Return the lines that hold each client."""
    return table(("Client", "Code"), [(client, code(text)) for client, text in lines.items()], class_="code")
