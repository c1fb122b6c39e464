"""loss:PROBABILITY: each packet of either side is lost with that probability; 0.05 and 5% are the same.

Lost before it keeps anything alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.errors import LabError
from keptalive.lab.faults.fault import Fault, number, written


@dataclass(frozen=True)
class Loss(Fault):
    """Lose each packet with this *probability*."""

    name: ClassVar[str] = "loss"
    syntax: ClassVar[str] = "loss:PROBABILITY"
    engines: ClassVar[tuple[str, ...]] = ("packet",)

    probability: float

    @classmethod
    def parse(cls, parameters: str) -> Loss:
        """Read a number between 0 and 1, or a percentage; raises LabError."""
        digits = parameters.removesuffix("%")
        value = number(digits) / (1 if digits == parameters else 100)
        if not 0 < value < 1:
            raise LabError(f"{cls.syntax} needs one between 0 and 1, or 0% and 100%, not {parameters!r}")
        return cls(value)

    def __str__(self) -> str:
        return f"{self.name}:{written(self.probability)}"
