"""idle-reset:SECONDS: a flow without a packet for SECONDS is forgotten; whoever sends next gets an RST.

Who only waits is told nothing: without keepalive, a client that waits for its answer waits on, and it is
the server that gets the RST when it answers. AWS NAT Gateway, AWS Network Load Balancer, Linux IPVS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import AfterIdle


@dataclass(frozen=True)
class IdleReset(AfterIdle):
    """Forget a flow after *seconds* without a packet, answer what then comes with an RST to its sender."""

    name: ClassVar[str] = "idle-reset"
    syntax: ClassVar[str] = "idle-reset:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("kernel", "packet", "relay")
