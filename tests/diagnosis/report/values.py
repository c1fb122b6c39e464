"""Results as real measurements gave them, shortened, for drawings and pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keptalive import Policy
from keptalive.diagnosis.evidence import Arm, Control, Evidence, Poke, Sample, Shape, Timers
from keptalive.diagnosis.result import Diagnosis, Step, Verdict
from keptalive.probing.estimate import Trial
from keptalive.probing.result import ProbeResult
from keptalive.probing.signatures import Ended

ALIVE = (1.0, 1.5, 2.2, 3.3, 4.3, 4.8, 4.98)
DEAD = (5.04, 6.1)


def measured(**change: Any) -> ProbeResult:
    """Return a path that forgets after five seconds."""
    result = ProbeResult(
        host="db.example",
        port=5432,
        address="198.51.100.7:5432",
        behaviour="silent",
        alive_at=4.98,
        dead_at=5.04,
        sure=True,
        closed_after=None,
        connections=49,
        seconds=8.5,
        loss=0.0,
        trials=(*(Trial(True, age) for age in ALIVE), *(Trial(False, age, 4) for age in DEAD)),
    )
    return replace(result, **change)


def closed(**change: Any) -> ProbeResult:
    """Return a server that closes after ten seconds."""
    ends = tuple(Ended(10.0 + n / 100, 4.0 + n, "fin") for n in range(4))
    return measured(
        behaviour="closed-by-peer",
        alive_at=9.0,
        dead_at=None,
        closed_after=10.0,
        trials=(),
        ends=ends,
        **change,
    )


def sample(at: float, ack: float, **numbers: Any) -> Sample:
    """Return a sample, *ack* the moment of the last acknowledgement."""
    figures: dict[str, Any] = {
        "state": "ESTABLISHED",
        "segments_in": 2,
        "segments_out": 3,
        "probes": 0,
        "unacked": 0,
        "retransmits": 0,
        "bytes_acked": 85,
        "bytes_received": 0,
    }
    return Sample(at=at, since_ack=at - ack, **{**figures, **numbers})


def plain() -> Arm:
    """Return a request whose connection was forgotten while it waited."""
    return Arm(
        held=False,
        timers=None,
        outcome="pending",
        local="10.0.0.5:34874",
        remote="10.0.0.9:8080",
        connected_at=0.1,
        sent_at=0.2,
        last_answered_at=0.2,
        samples=(sample(1, 0.2), sample(6, 0.2), sample(12, 0.2), sample(13, 0.2, probes=3, segments_out=6)),
        pokes=(Poke(at=12.5, kind="probes", reply="silent", idle_for=12.3),),
    )


def held() -> Arm:
    """Return a request that keepalive held: four probes answered, then the answer."""
    acks = (0.2, 2.3, 4.4, 6.5, 8.6)
    return Arm(
        held=True,
        timers=Timers(2, 1, 3),
        outcome="answered",
        local="10.0.0.5:34860",
        remote="10.0.0.9:8080",
        connected_at=0.1,
        sent_at=0.2,
        answered_at=10.3,
        ended_at=10.3,
        status=200,
        server="example/1.0",
        bytes_received=9,
        answered_probes=4,
        last_answered_at=8.6,
        samples=tuple(sample(ack + 0.2, ack, segments_in=2 + n) for n, ack in enumerate(acks)),
    )


def too_late() -> Arm:
    """Return a request whose keepalive found the path dead."""
    return replace(
        held(),
        timers=Timers(7, 1, 3),
        outcome="timed-out",
        error="ETIMEDOUT",
        answered_at=None,
        status=None,
        answered_probes=0,
        last_answered_at=0.2,
        samples=(
            sample(1, 0.2),
            *(sample(7 + n + 0.5, 0.2, probes=n + 1, segments_out=4 + n) for n in range(3)),
        ),
    )


def diagnosis(verdict: Verdict = "forgotten-silently", **change: Any) -> Diagnosis:
    """Return the diagnosis of a firewall that forgets."""
    evidence = Evidence(
        request=Shape(
            "GET", "http://api.example:8080/report", "api.example", 8080, False, ("Authorization",)
        ),
        plain=plain(),
        held=held(),
        control=Control(at=11.0, connected=True, probes="answered"),
        ladder=measured(),
        seconds=15.0,
        timeout=60.0,
        began="2026-11-27T07:12:47Z",
    )
    found = Diagnosis(
        verdict=verdict,
        sentence="The path forgets connections that are silent for 5.0 s, and tells nobody.",
        because=("Plain: no answer, and its connection is dead.", "Held: answered after 10.1 s."),
        keepalive_helps=True,
        policy=Policy(idle=1, interval=1, count=9),
        steps=(Step("client", "Hold the connection."), Step("network", "Raise the idle timeout.")),
        code={"requests": "session = keptalive.hold(requests.Session())"},
        also_possible=(),
        evidence=replace(
            evidence, **{key: change.pop(key) for key in list(change) if hasattr(evidence, key)}
        ),
    )
    return replace(found, **change)
