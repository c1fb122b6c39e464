"""nat-rebind:SECONDS: a NAT forgets a flow after SECONDS without a packet, and gives it another port then.

What the client sends afterwards comes to the server from a port that it does not know: it answers with an
RST, which reaches the client. What the server sends goes to a port that nobody has any more: the NAT
answers that with an RST, and the client is told nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import AfterIdle


@dataclass(frozen=True)
class NatRebind(AfterIdle):
    """Give a flow another source port after *seconds* without a packet: the server answers with an RST."""

    name: ClassVar[str] = "nat-rebind"
    syntax: ClassVar[str] = "nat-rebind:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("kernel", "packet")
