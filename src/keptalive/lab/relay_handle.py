"""A relay's process, from the side of who started it.

Rule: it may be used from several threads; it ends when it is closed, or with the process that started it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from keptalive.errors import LabError
from keptalive.lab.control import Helper
from keptalive.lab.event import LabEvent
from keptalive.lab.faults import Faults


class RelayHandle:
    """A relay that does what some faults say."""

    def __init__(self, faults: Faults) -> None:
        """Start it. Raises LabError if it cannot do it."""
        refusal = faults.refusal("relay")
        if refusal:
            raise LabError(refusal)
        self.faults = faults
        self._process = Helper("keptalive.lab.relay")
        self._lock = threading.Lock()
        self._events: list[LabEvent] = []
        try:
            self._process.ask("start", faults=str(faults))
        except BaseException:
            self.close()
            raise

    def open(self, hosts: Sequence[str], to: Sequence[tuple[str, int]]) -> int:
        """Listen at each of *hosts*, on the same free port, which is returned.

        Connections lead to the first of the numeric addresses *to* that takes them.
        """
        port: int = self._process.ask("open", hosts=list(hosts), to=list(to))["port"]
        return port

    def expire(self) -> None:
        """End every flow, now."""
        self._process.ask("expire")

    def events(self) -> list[LabEvent]:
        """What happened so far."""
        with self._lock:
            while more := self._process.ask("events", after=len(self._events))["events"]:
                self._events += [LabEvent(*event) for event in more]
            return list(self._events)

    def adopt(self, command: int) -> None:
        """Have it kill a command, by its pidfd, when the process that started the relay goes."""
        self._process.ask("adopt", [command])

    def close(self) -> None:
        """End it: connections are reset. Does nothing the second time."""
        self._process.close()
