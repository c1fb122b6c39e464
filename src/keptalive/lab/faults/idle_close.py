"""idle-close:SECONDS: a connection without a byte for SECONDS is closed: both ends get a FIN at once.

A proxy's way: TCP ends there, so it counts bytes, and keepalive probes are none. They do not help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import AfterIdle


@dataclass(frozen=True)
class IdleClose(AfterIdle):
    """Close a connection after *seconds* without a byte with a FIN to both ends; probes do not count."""

    name: ClassVar[str] = "idle-close"
    syntax: ClassVar[str] = "idle-close:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("packet", "relay")
    counts: ClassVar[str] = "bytes"
