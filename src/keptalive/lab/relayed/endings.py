"""What becomes of a flow that was idle for too long: one small class for each way.

Rule: an ending takes a flow that the relay has let go of, and is all that has to do with it from then on.
"""

from __future__ import annotations

import time

from keptalive.lab.faults import Fault
from keptalive.lab.faults.idle_close import IdleClose
from keptalive.lab.faults.idle_drop import IdleDrop
from keptalive.lab.faults.idle_reset import IdleReset
from keptalive.lab.faults.idle_reset_both import IdleResetBoth
from keptalive.lab.flows import Flow, Leg, deafen, discarded
from keptalive.lab.relayed.departed import KEPT, departed
from keptalive.lab.relayed.piece import Site

_SHORTEST = 0.02  # s between two looks for what strangers sent; more where there are many:
_EACH = 50e-6  # s for each, as a look takes a microsecond: 2 % of the CPU

# s until it is looked whose clients have gone: a probe has ended its connections by then, for good. Or more,
# so that looking takes 2 % of the CPU.
_PAUSE, _SHARE = 2.0, 50
_RELEASED = f"its client has gone, and so have {KEPT} newer ones: RST to the server"


class Ending:
    """A way to end flows."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def end(self, flow: Flow) -> None:
        """End *flow* in this way."""

    def set_dark(self, dark: bool) -> None:
        """Let what came to an end here hear nothing, or hear again."""

    def close(self) -> None:
        """End for good what was left open."""


class Drop(Ending):
    """Forget it, and tell nobody.

    A real firewall keeps nothing of what it has forgotten; here it costs two sockets, and one of the
    server's. So where many clients have gone their servers are told, the oldest first.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._forgotten: dict[Flow, None] = {}  # a set in order of age
        self._awake = False

    def end(self, flow: Flow) -> None:
        """Make both ends talk to nobody, as long as the client lives."""
        flow.forget()
        self._forgotten[flow] = None
        self._look_later(_PAUSE)

    def _look_later(self, pause: float) -> None:
        if not self._awake and len(self._forgotten) > KEPT:
            self._awake = True
            self._site.poller.at(time.monotonic() + pause, self._look)

    def _look(self) -> None:
        """Let go of those whose clients have gone, but for the newest."""
        began = time.monotonic()
        gone = [] if self._site.dark else departed(self._forgotten)[:-KEPT]
        for flow in gone:
            self._site.record("released", f"{flow.name}: {_RELEASED}", "firewall")
            del self._forgotten[flow]
            flow.reset()
        self._awake = False
        self._look_later(max(_PAUSE, _SHARE * (time.monotonic() - began)))

    def close(self) -> None:
        """Reset what was forgotten."""
        for flow in self._forgotten:
            flow.reset()


class ResetNext(Ending):
    """Forget it, and answer the next packet of either end with an RST, to that end alone.

    Both are deaf, since for the kernel the connection is alive, and it would acknowledge what comes. What it
    discards it counts, and the relay looks for it: the RST is sent 20 ms later at most, with up to 200 such
    connections.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._strangers: dict[Leg, int] = {}  # and what had come for it before
        self._alone: dict[Leg, None] = {}  # those of servers whose client has gone, in order of age
        self._awake = False

    def end(self, flow: Flow) -> None:
        """Wait for what either end sends next."""
        for leg in flow.legs:
            leg.unwatch()
            deafen(leg.sock)
            self._strangers[leg] = discarded(leg.sock)
        if not self._awake:
            self._awake = True
            self._site.poller.at(time.monotonic() + _SHORTEST, self._look)

    def set_dark(self, dark: bool) -> None:
        """What came in the dark got lost, and is not answered."""
        if not dark:
            self._strangers = {leg: discarded(leg.sock) for leg in self._strangers}

    def close(self) -> None:
        """Reset those that nobody has used since."""
        for leg in self._strangers:
            leg.reset()
        self._strangers.clear()

    def _look(self) -> None:
        """Look for those that sent something."""
        for leg, seen in () if self._site.dark else list(self._strangers.items()):
            if leg in self._strangers and discarded(leg.sock) != seen:
                self._answer(leg)
        self._awake = bool(self._strangers)
        if self._awake:
            pause = max(_SHORTEST, _EACH * len(self._strangers))
            self._site.poller.at(time.monotonic() + pause, self._look)

    def _answer(self, leg: Leg) -> None:
        who = "client" if leg is leg.flow.client else "server"
        detail = f"{leg.flow.name}: RST to the {who}, which sent something"
        self._site.record("reset", detail, "firewall")
        self._forget(leg)

    def _forget(self, leg: Leg) -> None:
        del self._strangers[leg]
        leg.reset()
        self._alone.pop(leg, None)
        if leg is leg.flow.client and leg.other in self._strangers:
            self._alone[leg.other] = None
            if len(self._alone) > KEPT:
                oldest = next(iter(self._alone))
                self._site.record("released", f"{oldest.flow.name}: {_RELEASED}", "firewall")
                self._forget(oldest)


class ResetBoth(Ending):
    """Send an RST to both ends, at once."""

    def end(self, flow: Flow) -> None:
        """Reset both connections."""
        self._site.record("reset", f"{flow.name}: RST to both ends", "firewall")
        flow.reset()


class Close(Ending):
    """Send a FIN to both ends, at once."""

    def end(self, flow: Flow) -> None:
        """Close both connections."""
        self._site.record("closed", f"{flow.name}: FIN to both ends", "firewall")
        flow.close()


#: How each fault that expires flows ends them; without one, it is in silence.
ENDINGS: dict[type[Fault], type[Ending]] = {
    IdleDrop: Drop,
    IdleReset: ResetNext,
    IdleResetBoth: ResetBoth,
    IdleClose: Close,
}
