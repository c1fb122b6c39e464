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
from keptalive.lab.opening import open_first

_PAUSE = 0.1  # s between two looks: at once, to an eye

#: The engines, the one that has most to tell first.
_TELLING = ("packet", "relay", "kernel")

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
        self._next = 0
        self._started = time.monotonic()  # unless the lab can tell when the first packet came
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
        first = self._next == 0
        self._next, events = self._lab.what_mattered(self._next)
        if first and events:
            self._started = self._lab.started or self._started
        for event in events:
            print(line(event, self._started), file=sys.stderr)
        sys.stderr.flush()


def line(event: LabEvent, started: float) -> str:
    """Return an event as people read it: when, what, whose packet it was, and the rest."""
    detail = event.detail.removesuffix(f": {event.kind}")
    return escape(f"{event.time - started:9.3f} s  {event.kind:10} {event.sender or '-':8}  {detail}")


def open_traced(faults: Faults, engine: str | None) -> Lab:
    """Open a lab whose packets can be shown, or else what is done to connections; raises LabError."""
    return open_first(faults, _TELLING) if engine is None else open_lab(faults, engine)
