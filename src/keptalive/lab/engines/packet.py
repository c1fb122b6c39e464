"""Engine packet: network namespaces, and between them a firewall of ours that sees every packet.

Rule: it can do every fault that is a matter of packets, and tells each packet's fate in `events`.
"""

from __future__ import annotations

from keptalive.lab.engines.namespaced import NamespacedLab
from keptalive.lab.event import LabEvent
from keptalive.lab.faults import Faults


class PacketLab(NamespacedLab):
    """A lab with a firewall made of packets; raises LabError, with the reason, where it cannot be had."""

    engine = "packet"
    _module = "keptalive.lab.middlebox"

    def _build(self, faults: Faults) -> None:
        self._events: list[LabEvent] = []
        self._next_event = 0
        super()._build(faults)
        # Not before: the trial is no connection of the user's, and a fault might let it fail.
        self._holder.ask("arm", faults=str(faults))

    @property
    def events(self) -> list[LabEvent]:
        """Every packet with its verdict, and what happened to flows; of many, the last 100,000."""
        with self._lock:
            while (reply := self._holder.ask("events", after=self._next_event))["events"]:
                self._next_event = reply["next"]
                self._events += [LabEvent(*event) for event in reply["events"]]
            return list(self._events)
