"""blackhole@START[-END]: from START on nothing passes, and nobody is told; with END, it heals then.

Packets of both sides are dropped in silence, new connections' too. What the firewall remembers stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import Moment


@dataclass(frozen=True)
class Blackhole(Moment):
    """Drop everything in silence from *start* on, until *end* if there is one."""

    name: ClassVar[str] = "blackhole"
    syntax: ClassVar[str] = "blackhole@START[-END]"
    engines: ClassVar[tuple[str, ...]] = ("packet", "relay")
