"""delay:MILLISECONDS: each packet, of either side, arrives that much later; a round trip, twice as much."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from keptalive.errors import LabError
from keptalive.lab.faults.fault import Fault, number, written

_LONGEST = 60_000.0  # ms: beyond it no connection can be made


@dataclass(frozen=True)
class Delay(Fault):
    """Deliver each packet *milliseconds* later: a round trip takes twice as much."""

    name: ClassVar[str] = "delay"
    syntax: ClassVar[str] = "delay:MILLISECONDS"
    engines: ClassVar[tuple[str, ...]] = ("packet",)

    milliseconds: float

    @classmethod
    def parse(cls, parameters: str) -> Delay:
        """Read a number of milliseconds; raises LabError."""
        value = number(parameters)
        if not 0 < value <= _LONGEST:
            raise LabError(
                f"{cls.syntax} needs a number above zero (at most {_LONGEST:.0f}), not {parameters!r}"
            )
        return cls(value)

    def scaled(self, speed: float) -> Delay:
        """Return the same with its time divided by *speed*."""
        return replace(self, milliseconds=max(0.001, round(self.milliseconds / speed, 3)))

    def __str__(self) -> str:
        return f"{self.name}:{written(self.milliseconds)}"
