"""The page of a measured path.

Rule: pure; the numbers are those that the command prints.
"""

from __future__ import annotations

from collections.abc import Iterator

from keptalive.diagnosis.report.ladder import ladder, timeout
from keptalive.diagnosis.report.markup import Markup, join, tag
from keptalive.diagnosis.report.page import code, fact, figure, listing, note, page, section, table
from keptalive.probing.result import ProbeResult, numbers
from keptalive.probing.signatures import SENTENCES, Behaviour
from keptalive.sockets import format_address

_FORGETS = ("silent", "reset")

_CLIENT, _NETWORK, _SERVER = "Programs", "Network", "Server"
_HOLD = (_CLIENT, "Turn TCP keepalive on with the figures below: its probes reset the timer of the path.")
# behaviour -> what to change, on which side
_STEPS: dict[Behaviour, tuple[tuple[str, str], ...]] = {
    "silent": (
        (
            _NETWORK,
            "A firewall, a NAT gateway or a load balancer on this path forgets established connections that "
            "are silent for that long, and drops what comes later without a word. Raise its idle timeout for "
            "TCP above the longest wait of the applications, or have it send an RST to both ends at expiry, "
            "so that nobody waits for ever.",
        ),
        _HOLD,
    ),
    "reset": (
        (
            _NETWORK,
            "A firewall, a NAT gateway or a load balancer on this path forgets established connections that "
            "are silent for that long, and resets them. Raise its idle timeout for TCP above the longest "
            "wait of the applications.",
        ),
        _HOLD,
    ),
    "closed-by-peer": (
        (
            _SERVER,
            "The server, or a proxy that ends TCP in front of it, has a time limit of its own: raise it.",
        ),
        (_CLIENT, "Nothing: no keepalive changes a time limit that counts requests or bytes."),
    ),
    "probes-filtered": (
        (_NETWORK, "Let TCP keepalive probes pass: segments of no or one byte that repeat an old number."),
        (_CLIENT, "Turn TCP keepalive off on this path, and send something in the application itself."),
    ),
    "outlived": ((_NETWORK, "Nothing."), (_CLIENT, "Nothing, for silences up to that length.")),
    "kept-alive-by-peer": ((_NETWORK, "Nothing: the other end keeps the path open."),),
    "unreachable": (
        (_NETWORK, "Let connections to this port pass, if they should."),
        (_SERVER, "Is it running, and does anything listen behind what accepts for it?"),
    ),
    "outage": ((_NETWORK, "Look for what was restarted, or interrupted, at the time given above."),),
    "unknown": (),
}


def probe_page(result: ProbeResult, *, when: str, interrupted: bool = False) -> str:
    """Return the page; *when* it was measured, as text."""
    where = str(format_address((result.host, result.port)))
    if result.address not in (None, where):
        where += f" ({result.address})"
    return page(
        f"Idle timeout of the path to {where}",
        kind="Idle timeout of a path",
        where=where,
        sentence=_sentence(result, interrupted),
        facts=_facts(result),
        body=_body(result),
        footer=(
            f"Measured on {when}.",
            "Each connection was opened, left in silence, and asked by a TCP keepalive probe whether the "
            "path still knows it. An answer is proof; a missing one was asked for several times.",
        ),
    )


def _sentence(result: ProbeResult, interrupted: bool) -> str:
    """Return the verdict with its figure."""
    sentence, behaviour = SENTENCES[result.behaviour], result.behaviour
    if behaviour in _FORGETS and result.idle_timeout is not None:
        then = "tells nobody" if behaviour == "silent" else "resets them"
        sentence = (
            f"The path forgets connections that are silent for {result.idle_timeout:.1f} s, and {then}."
        )
    elif behaviour == "unreachable" and result.error:
        sentence = f"{sentence.rstrip('.')}: {result.error}."
    elif behaviour == "closed-by-peer" and result.closed_after is not None:
        sentence = f"{sentence.rstrip('.')}: after {result.closed_after:.1f} s."
    elif behaviour == "outlived" and result.alive_at is not None:
        sentence = f"{sentence.rstrip('.')}: {result.alive_at:.0f} s."
    return f"Interrupted. What is known so far: {sentence}" if interrupted else sentence


def _facts(result: ProbeResult) -> Iterator[Markup]:
    if result.idle_timeout is not None:
        yield fact("Idle timeout", timeout(result), tone="bad")
    elif result.alive_at is not None:
        yield fact("Alive after", f"{result.alive_at:.1f} s of silence", tone="good")
    if result.behaviour in _FORGETS:
        told = "nobody is told" if result.behaviour == "silent" else "an RST"
        yield fact("At expiry", told)
    if result.policy is not None and result.behaviour in _FORGETS:
        policy = result.policy
        figures = f"idle {policy.idle} s, interval {policy.interval} s, count {policy.count}"
        yield fact("Keepalive that holds it", figures, tone="good")
    if result.behaviour == "probes-filtered":
        yield fact("Keepalive", "ends healthy connections here", tone="bad")


def _body(result: ProbeResult) -> Iterator[Markup]:
    drawing = ladder(result)
    if drawing is not None:
        yield section("What was tried", figure(drawing, _caption(result)))
    if result.caveats:
        yield join(*(note(caveat) for caveat in result.caveats))
    steps = _STEPS[result.behaviour]
    if steps:
        yield section("What to change", table(("Side", "What"), steps, class_="sides"), *_holding(result))
    if result.presets:
        yield section("What has such a timeout by default", listing(_presets(result)))
    rows = numbers(result)
    if result.loss:
        rows.append(("questions lost on the way", f"{result.loss:.0%}"))
    yield section("Measured", table(("What", "Figure"), rows, class_="facts-of"))


def _caption(result: ProbeResult) -> str:
    said = "A line a connection, as long as its silence. A dot: it answered afterwards, and was alive. "
    if any(not trial.alive for trial in result.trials):
        said += "A cross: it was dead. "
    if result.ends:
        said += "A box: the other end closed or reset it, unasked. "
    if result.alive_at is not None and result.dead_at is not None and result.sure:
        said += (
            f"Silences up to {result.alive_at:.2f} s were survived, those from {result.dead_at:.2f} s on "
            "were not: the timeout lies between."
        )
    return said


def _holding(result: ProbeResult) -> Iterator[Markup]:
    """How to set the policy: on one socket, on a host, for a program, in Python."""
    policy = result.policy
    if policy is None or result.behaviour not in _FORGETS:
        return
    idle, interval, count = policy.idle, policy.interval, policy.count
    yield tag(
        "p",
        f"The first probe after {idle} s of silence; one that is not answered is repeated each {interval} s, "
        f"and the connection given up after {count} of them:",
    )
    yield code(
        f"""\
# a socket, in any language: SO_KEEPALIVE on, and
TCP_KEEPIDLE = {idle}, TCP_KEEPINTVL = {interval}, TCP_KEEPCNT = {count}

# all sockets of a Linux host that have SO_KEEPALIVE
sysctl -w net.ipv4.tcp_keepalive_time={idle}
sysctl -w net.ipv4.tcp_keepalive_intvl={interval}
sysctl -w net.ipv4.tcp_keepalive_probes={count}

# a program, as it is
keptalive run --policy {policy} -- PROGRAM

# a client in Python
keptalive.hold(client, keptalive.Policy(idle={idle}, interval={interval}, count={count}))"""
    )


def _presets(result: ProbeResult) -> Iterator[Markup]:
    for preset in result.presets:
        source = tag("a", f"read {preset.looked_up}", href=preset.source)
        yield join(f"{preset.title}: {preset.idle_timeout} s, {preset.at_expiry} (", source, ")")
