"""What a diagnosis found, as a value: the verdict, why, and what to do.

Rule: frozen; text, JSON and the HTML report are made of this and of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from keptalive.diagnosis.evidence import Arm, Evidence, row
from keptalive.policy import Policy

Verdict = Literal[
    "slow-server",
    "forgotten-silently",
    "forgotten-reset",
    "idle-too-long",
    "interval-too-long",
    "probes-filtered",
    "gateway-timeout",
    "closed-by-peer",
    "reset-by-peer",
    "state-lost",
    "outage",
    "proxy-hop",
    "unreachable",
    "cannot-tell",
]


@dataclass(frozen=True)
class Step:
    """Something to do, and who can do it."""

    who: Literal["client", "network", "server", "proxy"]
    what: str


@dataclass(frozen=True)
class Diagnosis:
    """What kills a long request on this path, or that nothing does."""

    verdict: Verdict
    sentence: str  # the verdict in a sentence, with its figures
    because: tuple[str, ...]  # what was seen, in sentences: each a fact of `evidence`
    keepalive_helps: bool | None  # None: not told, or not needed
    policy: Policy | None  # the one to use; None where none helps
    steps: tuple[Step, ...]  # what to change, on which side
    code: dict[str, str]  # client -> the lines that hold it; empty where keepalive is of no use
    also_possible: tuple[Verdict, ...]  # causes that this evidence does not rule out
    evidence: Evidence

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that were run: plain, then held."""
        return self.evidence.arms

    def row(self) -> dict[str, Any]:
        """Return it as --json shows it."""
        evidence = row(self.evidence)
        arms = [arm for arm in (evidence.pop("plain"), evidence.pop("held")) if arm is not None]
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "because": list(self.because),
            "keepalive_helps": self.keepalive_helps,
            "policy": None if self.policy is None else str(self.policy),
            "also_possible": list(self.also_possible),
            "steps": row(self.steps),
            "code": self.code,
            "arms": arms,
            "evidence": evidence,
        }
