"""Engine packet: network namespaces, and between them a firewall of ours that sees every packet.

Rule: it can do every fault that is a matter of packets, and tells each packet's fate in `events`.
"""

from __future__ import annotations

from keptalive.lab.engines.namespaced import NamespacedLab
from keptalive.lab.event import LabEvent
from keptalive.lab.faults import Faults
from keptalive.lab.packets.journal import MOST


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
            self._next_event, more = self._tell(self._next_event, every=True)
            self._events = (self._events + more)[-MOST:]
            return list(self._events)

    def what_mattered(self, after: int = 0) -> tuple[int, list[LabEvent]]:
        """Return what any lab does; the other packets, of which there may be many, stay where they are."""
        return self._tell(after, every=False)

    @property
    def started(self) -> float | None:
        """When the first packet of the first connection came."""
        started: float | None = self._holder.ask("start")["started"]
        return started

    def _tell(self, after: int, *, every: bool) -> tuple[int, list[LabEvent]]:
        found: list[LabEvent] = []
        while (reply := self._holder.ask("events", after=after, every=every))["events"]:
            after = reply["next"]
            found += [LabEvent(*event) for event in reply["events"]]
        return after, found
