"""`keptalive lab run --trace`: the packets that mattered, as lines on stderr while they come.

Rule: it shows what the lab recorded, and says so where that is no packets.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from keptalive.cli.output import escape, sentence
from keptalive.errors import LabError
from keptalive.lab import Lab, LabEvent, open_lab
from keptalive.lab.faults import Faults

# An ordinary packet that passed is what a trace of everything (tcpdump) is for.
_UNREMARKABLE = ("passed", "taken")
_PAUSE = 0.1  # s between two looks: at once, to an eye

#: What an engine's trace lacks.
LACKS = {
    "packet": "",
    "kernel": "the kernel engine keeps no record: there is nothing to trace; --engine packet shows packets",
    "relay": "the relay sees connections, not packets: the trace shows what it did to them",
}


class Trace:
    """Prints a lab's events as they come, from its start to its end as a context manager."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._shown = 0
        self._started = time.monotonic()  # moves to the first packet, with which the faults' clock starts
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="trace")

    def __enter__(self) -> Trace:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._over.wait(_PAUSE):
                self._show()
            self._show()
        except LabError as error:
            print(f"keptalive: the trace ends: {escape(sentence(error))}", file=sys.stderr, flush=True)

    def _show(self) -> None:
        events = self._lab.events
        if self._shown == 0 and events and events[0].sender:
            self._started = events[0].time
        for event in events[self._shown :]:
            if event.kind not in _UNREMARKABLE:
                print(line(event, self._started), file=sys.stderr)
        self._shown = len(events)
        sys.stderr.flush()


def line(event: LabEvent, started: float) -> str:
    """Return an event as people read it: when, what, whose packet it was, and the rest."""
    detail = event.detail.removesuffix(f": {event.kind}")
    return escape(f"{event.time - started:9.3f} s  {event.kind:10} {event.sender or '-':8}  {detail}")


def open_traced(faults: Faults, engine: str | None) -> Lab:
    """Open a lab whose packets can be shown, if there is one; raises LabError as open_lab does."""
    if engine is None and faults.refusal("packet") is None:
        try:
            return open_lab(faults, "packet")
        except LabError as error:
            print(f"keptalive: no packets to trace: {escape(sentence(error))}", file=sys.stderr)
    return open_lab(faults, engine)
