"""Cases of a verdict in which the words of the table would mislead: what to say, and to do, instead.

Rule: pure, and the verdict stays: a case has a sentence and steps of its own. What is not here is as
`remedies` says.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from keptalive.diagnosis.evidence import NO_TLS_ANSWER, Evidence
from keptalive.diagnosis.fates import turned_away
from keptalive.diagnosis.remedies import MEANINGS
from keptalive.diagnosis.result import Step, Verdict

#: Seconds within which an answer came at once: who did not wait found out nothing about waiting.
AT_ONCE = 1.0
#: What is refused, or not answered, before anything was said to the proxy.
_NO_WAY = ("ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN")
_ASK_BEHIND = (
    Step(
        "server",
        "Is the server running? What accepts for it (a port forward, a relay, a load balancer, a container's "
        "published port) ends connections like that while it is not; so does a server that takes no more.",
    ),
    Step("client", "Check the port."),
)


class Particular(NamedTuple):
    """What to say of one case. None: what the table says."""

    sentence: str | None
    steps: tuple[Step, ...]


def particular(evidence: Evidence, verdict: Verdict, error: str) -> Particular | None:
    """Return what is particular about this case; None if nothing is. *error*: why nothing connected."""
    if verdict == "slow-server":
        return _unanswered(evidence) if unanswered(evidence) else _told_little(evidence)
    if verdict in ("closed-by-peer", "reset-by-peer"):
        return _nobody_behind(evidence, verdict)
    if verdict == "unreachable":
        return _before_the_server(evidence, error)
    return None


def unanswered(evidence: Evidence) -> bool:
    """Tell whether no answer came at all: how long it takes, and what that needs, was not found out."""
    return not any(arm.outcome == "answered" for arm in evidence.arms)


def given(evidence: Evidence) -> str:
    """Return for how long an answer was waited for, "2": what came after was questions."""
    seconds = min(evidence.seconds, math.inf if evidence.timeout is None else evidence.timeout)
    return f"{round(seconds, 1):g}"


def _unanswered(evidence: Evidence) -> Particular:
    both = len(evidence.arms) > 1
    lives = "both connections live" if both else "its connection lives"
    whose = "" if evidence.interrupted else ", the time given"
    seconds = given(evidence)
    return Particular(
        f"No answer came in {seconds} s{whose}, but {lives}: so far nothing is lost on the way.",
        (
            Step(
                "client",
                f"Give it more time than {seconds} s (--timeout), if the answer may take longer: whether a "
                f"longer wait needs keepalive could not be told.",
            ),
            Step(
                "server",
                "If it should have answered by then, look at the server, and at what it waits for itself.",
            ),
        ),
    )


def _told_little(evidence: Evidence) -> Particular | None:
    """Both were answered, but not with what was asked for, or at once."""
    waits = [arm.waited for arm in evidence.arms if arm.waited is not None]
    if any(arm.outcome != "answered" for arm in evidence.arms):
        return None
    at_once = bool(waits) and max(waits) < AT_ONCE
    status = max(arm.status or 0 for arm in evidence.arms)
    client, *others = MEANINGS["slow-server"].steps
    if status < 400:
        said = f"Nothing is lost on the way: the server answered {status} at once: this was no long wait."
        return Particular(said, (client,)) if at_once else None
    question = "are its credentials missing?" if status in (401, 403) else "is this the request you meant?"
    meant = Step(
        "client",
        f"Look at the request (URL, method, headers, body): {status} tells nothing about the wait for the "
        f"answer that was meant.",
    )
    log = Step("server", f"If the request is as it should be, look at the server's log: why {status}?")
    when = " at once" if at_once else ""
    return Particular(
        f"Nothing is lost on the way: the server answered {status}{when}: {question}",
        (meant, log) if at_once else (meant, log, *others),
    )


def _nobody_behind(evidence: Evidence, verdict: Verdict) -> Particular | None:
    """Every connection was ended as soon as it stood, even one on which nothing was asked for."""
    control = evidence.control
    if control is None or not (control.probes in ("reset", "closed") or control.error == "ECONNRESET"):
        return None
    if not all(map(turned_away, evidence.arms)):
        return None
    how = "closed" if verdict == "closed-by-peer" else "reset"
    return Particular(
        f"Every connection is accepted and {how} at once, before anything is asked for: probably nothing "
        f"listens behind what accepts it. Keepalive does not help.",
        _ASK_BEHIND,
    )


def _before_the_server(evidence: Evidence, error: str) -> Particular | None:
    last = evidence.arms[-1].error if evidence.arms else None
    if last == NO_TLS_ANSWER:
        tls = Step("client", "Check that the port is one for TLS: perhaps it is http:// and not https://.")
        return Particular(None, (tls, *MEANINGS["unreachable"].steps))
    if last == "ECONNRESET" and evidence.request.proxy is None and not evidence.request.tls:
        # A port that is closed refuses: this one had been open, for less time than it takes to look.
        return Particular(
            f"There is no connection that lasts{error}: it is accepted and reset at once, so probably "
            f"nothing listens behind what accepts it.",
            _ASK_BEHIND,
        )
    if evidence.request.proxy is None or last not in _NO_WAY:
        return None
    return Particular(
        f"There is no connection to be had to the proxy {evidence.request.proxy}{error}.",
        (
            Step(
                "client",
                "Check the proxy's name and port: --proxy names it, or http_proxy or https_proxy in the "
                "environment; --proxy none goes without one.",
            ),
            Step("proxy", "Is it running, and does a firewall let you in?"),
        ),
    )
