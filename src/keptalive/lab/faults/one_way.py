"""one-way:client:SECONDS, one-way:server:SECONDS: the way of one side's packets is forgotten.

Where the two directions of a flow take different ways, each firewall sees one side's packets only. This
one sees those that the named side sends: without one of them for SECONDS it forgets the flow, and drops
what that side then sends, in silence. The other side's packets pass all the while, and keep nothing alive.

one-way:client: the client's probes and requests are lost, yet a late answer of the server still arrives.
one-way:server: the client waits for ever, and its probes, though they arrive, get no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.errors import LabError
from keptalive.lab.faults.fault import Fault, seconds, written


@dataclass(frozen=True)
class OneWay(Fault):
    """Drop what the named side sends once it has sent nothing for *seconds*; the other way stays open."""

    name: ClassVar[str] = "one-way"
    syntax: ClassVar[str] = "one-way:client|server:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("packet",)
    expires: ClassVar[bool] = True
    times: ClassVar[tuple[str, ...]] = ("seconds",)

    side: str  # "client" or "server"
    seconds: float

    @classmethod
    def parse(cls, parameters: str) -> OneWay:
        """Read client:SECONDS or server:SECONDS; raises LabError."""
        side, _, rest = parameters.partition(":")
        if side not in ("client", "server"):
            raise LabError(f"{cls.syntax} needs the side whose packets get lost, not {side!r}")
        return cls(side, seconds(rest, cls.syntax))

    def __str__(self) -> str:
        return f"{self.name}:{self.side}:{written(self.seconds)}"
