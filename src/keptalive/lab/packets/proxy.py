"""A proxy that has closed both its connections: what it sends then, and what it says to what still comes.

Rule: as a kernel whose program has called close(): a FIN or a probe gets an ACK, new bytes get an RST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keptalive.lab.packets.flow import CLIENT, SERVER, Arrival, Box, Flow
from keptalive.lab.packets.segment import ACK, FIN, PSH, after

if TYPE_CHECKING:
    from keptalive.lab.packets.firewall import Firewall


def close(firewall: Firewall, flow: Flow, now: float, why: str, response: bytes = b"") -> None:
    """Send both ends a FIN, the client after *response*."""
    has = [flow.next[CLIENT] or 0, flow.next[SERVER] or 0]
    sends = [has[SERVER], has[CLIENT]]
    firewall.journal.flow(now, flow, "expired", why)
    for side in (CLIENT, SERVER):
        payload = response if side == CLIENT else b""
        flags = FIN | ACK | (PSH if payload else 0)
        segment = flow.towards(side, sends[side], has[side], flags, len(payload))
        text = f"FIN after {len(payload)} bytes: {why}" if payload else f"FIN: {why}"
        firewall.send(side, segment, now, "closed", text, payload=payload)
        sends[side] = segment.end
    flow.box = Box(sends, has)


def take(firewall: Firewall, flow: Flow, arrival: Arrival) -> None:
    """Answer what comes for a connection that the proxy has closed."""
    assert flow.box is not None
    now, side, segment, what = arrival
    sends, has = flow.box
    if what == "data" and after(segment.end, has[side]):
        firewall.answer_with_reset(arrival, "the proxy has closed")
        flow.over = True
        return
    firewall.journal.packet(arrival, "taken", "by the proxy, which has closed")
    if what == "RST":
        flow.over = True
        return
    if what == "FIN":
        has[side] = segment.end
        flow.fins[side] = True
        flow.over = all(flow.fins)
    if what == "FIN" or after(has[side], segment.sequence):  # it repeats: a probe
        answer = flow.towards(side, sends[side], has[side], ACK)
        firewall.send(side, answer, now, "taken", "ACK by the proxy's kernel")
