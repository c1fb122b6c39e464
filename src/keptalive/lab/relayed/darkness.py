"""blackhole@START[-END] and outage@START-END: times at which nothing passes, and nobody is told.

Rule: sockets are deaf meanwhile, listening ones too, and what they had received before waits in the relay.
What the relay's kernel had already taken from one end is still sent to the other, or again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from keptalive.lab.faults.fault import Moment
from keptalive.lab.flows import Flow
from keptalive.lab.relayed.piece import Piece, Site


class Darkness(Piece):
    """Turns the light off and on; its clock starts with the first connection."""

    def __init__(self, moments: Sequence[Moment], site: Site) -> None:
        self._moments, self._site = moments, site
        self._started: float | None = None
        self._on: list[Moment] = []

    def opened(self, flow: Flow) -> None:
        """Start the clock, if it is the first."""
        if self._started is None:
            self._started = time.monotonic()
            for moment in self._moments:
                for boundary in (moment.start, moment.end):
                    if boundary is not None:
                        self._site.poller.at(self._started + boundary, self._change)

    def _change(self) -> None:
        """Find out what is on now; tell what was not before, and what is no longer."""
        assert self._started is not None
        clock = time.monotonic() - self._started
        before, self._on = self._on, [moment for moment in self._moments if moment.on(clock)]
        for moment in self._moments:
            if (moment in self._on) != (moment in before):
                what = "begins" if moment in self._on else "ends"
                self._site.record(moment.name, f"{moment.name} {what}")
        if bool(self._on) != self._site.dark:
            self._site.set_dark(bool(self._on))
