"""Several faults at once: what a lab is given, even if it is one alone.

Rule: a combination is a value like its parts, and one that makes no sense does not come to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from keptalive.errors import LabError
from keptalive.lab.faults.fault import Fault

#: Every engine, in the order in which they are tried.
ENGINES = ("kernel", "packet", "relay")

Kind = TypeVar("Kind", bound=Fault)


@dataclass(frozen=True)
class Faults:
    """What goes wrong, all of it at once. Raises LabError if its parts contradict each other."""

    parts: tuple[Fault, ...]

    def __post_init__(self) -> None:
        for kind in {type(part) for part in self.parts}:
            if not kind.repeats and len(self.all(kind)) > 1:
                raise LabError(f"{kind.name} can be given once only")
        expiring = [str(part) for part in self.parts if part.expires]
        if len(expiring) > 1:
            raise LabError(f"a firewall forgets idle flows in one way: {' or '.join(expiring)}, not both")

    def all(self, kind: type[Kind]) -> list[Kind]:
        """Return the parts of this kind."""
        return [part for part in self.parts if isinstance(part, kind)]

    def get(self, kind: type[Kind]) -> Kind | None:
        """Return the part of this kind; None if there is none."""
        return next(iter(self.all(kind)), None)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that can do all of it, in the order in which they are tried."""
        return tuple(engine for engine in ENGINES if self.refusal(engine) is None)

    def refusal(self, engine: str) -> str | None:
        """Say in a sentence why *engine* cannot do it; None if it can."""
        reasons = (part.refusal(engine) for part in self.parts)
        return next((reason for reason in reasons if reason is not None), None)

    def scaled(self, speed: float) -> Faults:
        """Return the same with all times divided by *speed*; raises LabError for a speed that is none."""
        if not 0 < speed < float("inf"):
            raise LabError(f"a speed is a number above zero, not {speed:g}")
        return Faults(tuple(part.scaled(speed) for part in self.parts))

    def __str__(self) -> str:
        return ",".join(map(str, self.parts))
