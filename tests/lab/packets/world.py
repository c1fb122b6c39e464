"""A client and a server made of segments, for the tests of the firewall: no socket, no clock, no chance."""

from __future__ import annotations

from keptalive.lab.faults import parse
from keptalive.lab.packets.firewall import Firewall
from keptalive.lab.packets.flow import CLIENT, SERVER
from keptalive.lab.packets.segment import ACK, FIN, PSH, RST, SYN, Segment

FLAGS = {"S": SYN, "A": ACK, "F": FIN, "R": RST, "P": PSH}
CLIENT_ADDRESS, SERVER_ADDRESS = bytes([10, 99, 1, 2]), bytes([10, 99, 2, 2])
CLIENT_PORT, SERVER_PORT = 40000, 8080
FIRST = (0xFFFFFFF0, 7000)  # initial sequence numbers; the client's goes around the corner soon


class World:
    """One connection through a firewall; sequence numbers count from each side's first byte."""

    def __init__(self, faults: str, chance: float = 0.5, port: int = CLIENT_PORT) -> None:
        self.firewall = Firewall(parse(faults), lambda: chance)
        self.port = port
        self.now = 100.0

    def segment(self, side: int, flags: str, length: int = 0, seq: int = 0, ack: int = 0) -> Segment:
        """Return a segment of a side: *seq* and *ack* count bytes, 0 is the one after the SYN."""
        number = (FIRST[side] + 1 + seq - ("S" in flags)) & 0xFFFFFFFF
        acknowledged = (FIRST[1 - side] + 1 + ack) & 0xFFFFFFFF if "A" in flags else 0
        ends = (
            (CLIENT_ADDRESS, SERVER_ADDRESS, self.port, SERVER_PORT)
            if side == CLIENT
            else (SERVER_ADDRESS, CLIENT_ADDRESS, SERVER_PORT, self.port)
        )
        mask = sum(FLAGS[flag] for flag in flags)
        return Segment(4, *ends, number, acknowledged, mask, length)

    def send(self, side: int, flags: str, length: int = 0, seq: int = 0, ack: int = 0) -> bool:
        """Send a segment now; tell whether it passes."""
        return self.firewall.receive(side, self.segment(side, flags, length, seq, ack), self.now) is not None

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.firewall.advance(self.now)

    def connect(self) -> None:
        """Shake hands."""
        assert self.send(CLIENT, "S")
        assert self.send(SERVER, "SA")
        assert self.send(CLIENT, "A")

    def ask(self) -> None:
        """Shake hands, and send a request of 100 bytes that the server acknowledges."""
        self.connect()
        assert self.send(CLIENT, "PA", 100)
        assert self.send(SERVER, "A", ack=100)

    def probe(self, side: int = CLIENT) -> bool:
        """Send a keepalive probe after that request."""
        return self.send(side, "A", seq=99 if side == CLIENT else -1, ack=0 if side == CLIENT else 100)

    def answer(self, side: int = SERVER) -> bool:
        """Answer a probe."""
        return self.send(side, "A", seq=0 if side == SERVER else 100, ack=100 if side == SERVER else 0)

    def kinds(self, *, every: bool = False) -> list[str]:
        """Return what was recorded so far: without what passed and does not matter."""
        return [
            kind for _, kind, _, _ in self.firewall.journal.tell(0, 10_000)[1] if every or kind != "passed"
        ]

    def details(self) -> list[str]:
        """Return the words of the record."""
        return [detail for _, _, detail, _ in self.firewall.journal.tell(0, 10_000)[1]]

    def sent(self) -> list[tuple[int, str, int, int]]:
        """Return what the firewall itself has sent since: to whom, flags, and seq and ack as above."""
        found = []
        for own in self.firewall.outbox:
            flags = "".join(letter for letter, bit in FLAGS.items() if own.segment.flags & bit)
            seq = (own.segment.sequence - FIRST[1 - own.side] - 1) & 0xFFFFFFFF
            ack = (own.segment.acknowledged - FIRST[own.side] - 1) & 0xFFFFFFFF if "A" in flags else 0
            found.append((own.side, flags, seq, ack))
        self.firewall.outbox.clear()
        return found
