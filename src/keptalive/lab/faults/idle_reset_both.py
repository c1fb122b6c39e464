"""idle-reset-both:SECONDS: a flow without a packet for SECONDS is ended: both ends get an RST at once.

Azure Firewall, and Azure Load Balancer where its TCP reset is turned on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import AfterIdle


@dataclass(frozen=True)
class IdleResetBoth(AfterIdle):
    """End a flow after *seconds* without a packet with an RST to both ends."""

    name: ClassVar[str] = "idle-reset-both"
    syntax: ClassVar[str] = "idle-reset-both:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("packet", "relay")
