"""Engine kernel: network namespaces and the kernel's own connection tracking. The reference.

Rule: nothing of ours touches a packet; what happens is what Linux does in firewalls everywhere.
"""

from __future__ import annotations

from keptalive.lab.engines.namespaced import NamespacedLab
from keptalive.lab.event import LabEvent


class KernelLab(NamespacedLab):
    """A lab with the kernel's connection tracking; raises LabError, with the reason, where there is none."""

    engine = "kernel"
    _module = "keptalive.lab.holder"

    @property
    def events(self) -> list[LabEvent]:
        """Nothing: connection tracking forgets without a word."""
        return []
