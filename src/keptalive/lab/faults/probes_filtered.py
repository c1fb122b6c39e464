"""probes-filtered[:SECONDS]: bare keepalive probes are dropped, in silence, before they keep anything alive.

A bare probe repeats a sequence number that was acknowledged, with one byte or none, and asks for nothing but
an ACK. With SECONDS the firewall also forgets a flow after that time without any other packet. Here
keepalive helps nobody, and with a small count it ends a request that silence would have kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import Fault, seconds, written


@dataclass(frozen=True)
class ProbesFiltered(Fault):
    """Drop bare keepalive probes; with *seconds*, forget a flow after that time without another packet."""

    name: ClassVar[str] = "probes-filtered"
    syntax: ClassVar[str] = "probes-filtered[:SECONDS]"
    engines: ClassVar[tuple[str, ...]] = ("packet",)
    times: ClassVar[tuple[str, ...]] = ("seconds",)

    seconds: float | None = None

    @classmethod
    def parse(cls, parameters: str) -> ProbesFiltered:
        """Read SECONDS, or nothing; raises LabError."""
        return cls(seconds(parameters, cls.syntax) if parameters else None)

    @property
    def expires(self) -> bool:  # type: ignore[override]
        """Whether it forgets flows too."""
        return self.seconds is not None

    def __str__(self) -> str:
        return self.name if self.seconds is None else f"{self.name}:{written(self.seconds)}"
