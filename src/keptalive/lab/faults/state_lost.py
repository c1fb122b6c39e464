"""state-lost@TIME: the server reboots: it has forgotten every connection and answers RST to what comes.

Connections that were open at TIME get no packet from the server any more but these RSTs; new ones work.
Keepalive shortens the wait, since a probe gets the RST; it cannot bring the answer back.

The firewall does it in the server's name, and lets nothing of the old connections through: no program that
had them is there after a reboot to see a difference. To destroy the server's sockets instead would send RSTs
at once, which a reboot does not, and needs a kernel built for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import Fault, seconds, written


@dataclass(frozen=True)
class StateLost(Fault):
    """Have the server forget every connection at *time*, as if it rebooted: RST to what comes then."""

    name: ClassVar[str] = "state-lost"
    syntax: ClassVar[str] = "state-lost@TIME"
    engines: ClassVar[tuple[str, ...]] = ("packet",)
    repeats: ClassVar[bool] = True
    times: ClassVar[tuple[str, ...]] = ("time",)

    time: float

    @classmethod
    def parse(cls, parameters: str) -> StateLost:
        """Read TIME; raises LabError."""
        return cls(seconds(parameters, cls.syntax, least=0.0))

    def __str__(self) -> str:
        return f"{self.name}@{written(self.time)}"
