"""One connection as the firewall sees it: what each side has sent, when, and what was acknowledged.

Rule: it records what has passed and names what comes; whether that passes is the firewall's decision.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from keptalive.lab.packets.segment import ACK, FIN, RST, SYN, Segment, after

CLIENT, SERVER = 0, 1

Key = tuple[int, bytes, int, bytes, int]


class Arrival(NamedTuple):
    """A packet that has come from one of the sides."""

    time: float
    side: int
    segment: Segment
    what: str  # as Flow.what() names it


class Box(NamedTuple):
    """What the firewall, playing a proxy that has closed, sends next to each side and has had from it."""

    sends: list[int]
    has: list[int]


class Flow:
    """A connection between a client and a server, in arrays of two: CLIENT's, SERVER's."""

    __slots__ = (
        "acknowledged",
        "box",
        "established",
        "fins",
        "forgotten",
        "last",
        "next",
        "outside_port",
        "over",
        "probing",
        "scheduled",
        "segment",
        "server_gone",
        "waiting_since",
        "with_bytes",
    )

    def __init__(self, segment: Segment, now: float) -> None:
        """Begin with a segment of the client's."""
        self.segment = segment  # its addresses and ports are the flow's
        self.outside_port = segment.source_port  # the client's, as the server sees it
        self.last = [now, now]  # when a packet of each side passed
        self.with_bytes = now  # when the last one with a byte of the stream did, of either side
        self.waiting_since = math.inf  # when the client sent what the server has not answered with a byte
        self.next: list[int | None] = [None, None]  # the sequence number after the last that each has sent
        self.acknowledged: list[int | None] = [None, None]  # of the other side's, by each
        self.fins = [False, False]
        self.probing = [False, False]  # sent a probe that has no answer yet
        self.established = False
        self.over = False  # ended by both FINs, or an RST
        self.forgotten = False  # in the direction that the fault is about
        self.server_gone = False  # rebooted
        self.box: Box | None = None  # the firewall has closed it as a proxy would
        self.scheduled = math.inf

    def keys(self) -> tuple[Key, Key]:
        """Return what the packets of the client's side are found by, and those of the server's side."""
        mine = self.segment
        server = mine.destination, mine.destination_port
        return (
            (mine.version, mine.source, mine.source_port, *server),
            (mine.version, mine.source, self.outside_port, *server),
        )

    @property
    def idle_since(self) -> float:
        """When the last packet of either side passed."""
        return max(self.last)

    def what(self, side: int, segment: Segment) -> str:
        """Name a segment: SYN, SYN-ACK, FIN, RST, data, ACK, or probe and answer (to a probe)."""
        name = name_of(segment)
        if name in ("data", "ACK") and self._is_probe(side, segment):
            return "probe"
        return "answer" if name == "ACK" and self.probing[1 - side] else name

    def _is_probe(self, side: int, segment: Segment) -> bool:
        """Tell whether it repeats the last sequence number, that the other side acknowledged, for an ACK.

        A lost segment of one byte that is sent again looks the same, but was not acknowledged.
        """
        mine = self.next[side]
        return (
            self.established
            and segment.length <= 1
            and mine is not None
            and segment.sequence == (mine - 1) & 0xFFFFFFFF
            and self.acknowledged[1 - side] == mine
        )

    def note(self, arrival: Arrival) -> None:
        """Record a packet that passes."""
        now, side, segment, what = arrival
        other = 1 - side
        self.last[side] = now
        flags, end = segment.flags, segment.end
        if flags & RST:
            self.over = True
            return
        self.probing[side] = what == "probe"
        self.probing[other] = self.probing[other] and what != "answer"
        mine = self.next[side]
        if mine is None or flags & SYN or after(end, mine):
            self.next[side] = end
            if segment.length and mine is not None:  # bytes that the other side has not had
                self.with_bytes = now
                self.waiting_since = now if side == CLIENT else math.inf
        if flags & FIN:
            self.fins[side] = True
        if flags & ACK:
            had = self.acknowledged[side]
            if had is None or after(segment.acknowledged, had):
                self.acknowledged[side] = segment.acknowledged
            if side == CLIENT:
                self.established = True
            self.over = all(self.fins) and self.acknowledged == [self.next[SERVER], self.next[CLIENT]]

    def towards(self, side: int, sequence: int, acknowledged: int, flags: int, length: int = 0) -> Segment:
        """Return a segment to *side* in the other side's name."""
        version, client, server, inside, port = self.segment[:5]
        ends = (server, client, port, inside) if side == CLIENT else (client, server, self.outside_port, port)
        return Segment(version, *ends, sequence, acknowledged, flags, length)


def name_of(segment: Segment) -> str:
    """Name a segment of no known flow."""
    flags = segment.flags
    if flags & RST:
        return "RST"
    if flags & SYN:
        return "SYN-ACK" if flags & ACK else "SYN"
    if flags & FIN:
        return "FIN"
    return "data" if segment.length else "ACK"


def keys_of(segment: Segment) -> tuple[Key, Key]:
    """Return the key of a segment's flow: if it comes from the client's side, if from the server's."""
    version, source, destination, source_port, destination_port = segment[:5]
    return (
        (version, source, source_port, destination, destination_port),
        (version, destination, destination_port, source, source_port),
    )
