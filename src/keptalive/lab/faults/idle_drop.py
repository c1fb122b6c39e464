"""idle-drop:SECONDS: a flow without a packet for SECONDS is forgotten, and nobody is told.

What then arrives for it, from either side, is dropped in silence; new connections pass.
The stateful firewall, NAT gateway or load balancer of every long request's story.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from keptalive.errors import LabError


@dataclass(frozen=True)
class IdleDrop:
    """Forget a flow after *seconds* without a packet, drop in silence afterwards."""

    name: ClassVar[str] = "idle-drop"
    syntax: ClassVar[str] = "idle-drop:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("kernel", "relay")

    seconds: float

    @classmethod
    def parse(cls, parameters: str) -> IdleDrop:
        """Read SECONDS; raises LabError."""
        try:
            seconds = float(parameters)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise LabError(f"{cls.syntax} needs a number of seconds above zero, not {parameters!r}")
        return cls(seconds)

    def __str__(self) -> str:
        return f"{self.name}:{self.seconds:g}"

    def refusal(self, engine: str) -> str | None:
        """Say why *engine* cannot do this; None if it can."""
        if engine not in self.engines:
            return f"{self.name} is not for the {engine} engine"
        if engine == "kernel" and self.seconds % 1:
            # net.netfilter.nf_conntrack_tcp_timeout_established is a number of seconds.
            return f"connection tracking counts whole seconds, not {self.seconds:g}"
        return None
