"""The record of what the firewall did: every packet with its verdict, and what happened to flows.

Rule: recording is an append; words are found when somebody asks.
"""

from __future__ import annotations

import socket
from collections import deque
from itertools import islice
from typing import NamedTuple

from keptalive.lab.packets.flow import Arrival, Flow
from keptalive.lab.packets.segment import Segment

#: Records that are kept: some 50 MB at most, several seconds of a bulk transfer. The oldest go first.
MOST = 100_000

_SENDERS = ("client", "server")

#: As lab.interface.LabEvent has it: time, kind, detail, sender.
Row = tuple[float, str, str, str]


class Record(NamedTuple):
    """What happened once: to a packet, or to a flow."""

    time: float
    kind: str
    what: str  # the name of the packet, or of what happened
    why: str
    sender: str
    segment: Segment | None


class Journal:
    """The records, the first with number zero."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=MOST)
        self._count = 0

    def packet(self, arrival: Arrival, kind: str, why: str = "") -> None:
        """Record a packet: *kind* is its verdict, or what it is if it passed and matters."""
        self._add(Record(arrival.time, kind, arrival.what, why, _SENDERS[arrival.side], arrival.segment))

    def own(self, time: float, segment: Segment, kind: str, text: str) -> None:
        """Record a packet that the firewall made."""
        self._add(Record(time, kind, text, "", "firewall", segment))

    def flow(self, time: float, flow: Flow, kind: str, what: str) -> None:
        """Record what happened to a flow."""
        self._add(Record(time, kind, what, "", "", flow.segment))

    def fact(self, time: float, kind: str, what: str) -> None:
        """Record what happened to all."""
        self._add(Record(time, kind, what, "", "", None))

    def _add(self, record: Record) -> None:
        self._records.append(record)
        self._count += 1

    def tell(self, after: int, most: int) -> tuple[int, list[Row]]:
        """Return at most that many records from number *after* on, or from the first that is still kept.

        And the number of the next.
        """
        first = self._count - len(self._records)
        start = max(after, first)
        rows = [_row(record) for record in islice(self._records, start - first, start - first + most)]
        return start + len(rows), rows


def _row(record: Record) -> Row:
    segment, what = record.segment, record.what
    if segment is None:
        return record.time, record.kind, what, record.sender
    if what == "data":
        what = f"{segment.length} byte{'s' if segment.length != 1 else ''}"
    ends = f"{_end(segment, source=True)} > {_end(segment, source=False)}"
    why = f": {record.why}" if record.why else ""
    return record.time, record.kind, f"{ends}: {what}{why}", record.sender


def _end(segment: Segment, *, source: bool) -> str:
    address = segment.source if source else segment.destination
    port = segment.source_port if source else segment.destination_port
    if segment.version == 6:
        return f"[{socket.inet_ntop(socket.AF_INET6, address)}]:{port}"
    return f"{socket.inet_ntop(socket.AF_INET, address)}:{port}"
