"""outage@START-END: between START and END nothing passes, and nobody is told.

What a blackhole that heals does, by the name of what it is on a real path: a link that fails and comes
back, a route that takes a minute to converge. A connection lives through it whose owner has the patience:
for keepalive, interval times count seconds of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.errors import LabError
from keptalive.lab.faults.fault import Moment


@dataclass(frozen=True)
class Outage(Moment):
    """Drop everything in silence between *start* and *end*."""

    name: ClassVar[str] = "outage"
    syntax: ClassVar[str] = "outage@START-END"
    engines: ClassVar[tuple[str, ...]] = ("packet", "relay")

    @classmethod
    def parse(cls, parameters: str) -> Outage:
        """Read START-END; raises LabError."""
        found = super().parse(parameters)
        if found.end is None:
            raise LabError(f"{cls.syntax} needs an end, not {parameters!r}: without one it is a blackhole")
        return found
