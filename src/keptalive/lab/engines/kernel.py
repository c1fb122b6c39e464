"""Engine kernel: network namespaces and the kernel's own connection tracking. The reference.

Rule: whether packets pass is tried before anybody uses the lab.
"""

from __future__ import annotations

import socket

from keptalive.errors import LabError
from keptalive.lab.engines.namespaced import NamespacedLab
from keptalive.lab.faults import Faults
from keptalive.lab.interface import LabEvent


class KernelLab(NamespacedLab):
    """A lab with the kernel's connection tracking; raises LabError, with the reason, where there is none."""

    engine = "kernel"
    _module = "keptalive.lab.holder"

    def _build(self, faults: Faults) -> None:
        super()._build(faults)
        for family, host in zip((socket.AF_INET, socket.AF_INET6), self._hosts, strict=False):
            with self.client_socket(family) as trial:
                trial.settimeout(5)
                try:
                    trial.connect((host, self.port))
                except OSError as error:
                    raise LabError(f"packets do not pass the firewall's namespace ({error})") from error

    @property
    def events(self) -> list[LabEvent]:
        """Nothing: connection tracking forgets without a word."""
        return []
