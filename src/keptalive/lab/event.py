"""An event of a lab: a value, the same for every engine."""

from __future__ import annotations

from typing import NamedTuple

#: Kinds of packets that went their way as packets do: what is left without them is what mattered.
ORDINARY = ("passed", "taken")

#: Why a flow is forgotten that was not idle for too long, as every engine says it.
ASKED_FOR = "expire_now() was called"


class LabEvent(NamedTuple):
    """Something the firewall did."""

    time: float  # s, CLOCK_MONOTONIC: comparable with time.monotonic() of every process of this machine
    #: "expired": a flow was forgotten. The packet engine tells each packet's fate besides: "probe" and
    #: "answer" (to a probe), "reset" (an RST), "passed" (any other), "dropped", "taken" and "closed" (by a
    #: proxy), "rebound" (a flow has another port); and when "blackhole", "outage" and "state-lost" happen.
    #: The relay tells of RSTs and FINs of its own ("reset", "closed"), when it is "full", when the server
    #: cannot be reached ("unreached"), and when it lets go of what the server still has ("released").
    kind: str
    detail: str
    sender: str = ""  # whose packet it was: "client", "server" or "firewall"; "" where it was none
