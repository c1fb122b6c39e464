"""idle-drop:SECONDS: a flow without a packet for SECONDS is forgotten, and nobody is told.

What then arrives for it, from either side, is dropped in silence; new connections pass.
The stateful firewall, NAT gateway or load balancer of every long request's story.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import AfterIdle


@dataclass(frozen=True)
class IdleDrop(AfterIdle):
    """Forget a flow after *seconds* without a packet, drop in silence afterwards."""

    name: ClassVar[str] = "idle-drop"
    syntax: ClassVar[str] = "idle-drop:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("kernel", "packet", "relay")
