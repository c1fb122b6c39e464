"""What the faults do to flows that are idle: when, what then, and what becomes of packets that come later.

Rule: one class for each way to forget; the firewall asks for the time, and tells when it has come.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keptalive.lab.faults import Faults
from keptalive.lab.faults.fault import Fault
from keptalive.lab.faults.gateway_timeout import RESPONSE, GatewayTimeout
from keptalive.lab.faults.idle_close import IdleClose
from keptalive.lab.faults.idle_drop import IdleDrop
from keptalive.lab.faults.idle_reset import IdleReset
from keptalive.lab.faults.idle_reset_both import IdleResetBoth
from keptalive.lab.faults.nat_rebind import NatRebind
from keptalive.lab.faults.one_way import OneWay
from keptalive.lab.faults.probes_filtered import ProbesFiltered
from keptalive.lab.packets import proxy
from keptalive.lab.packets.flow import CLIENT, SERVER, Arrival, Flow
from keptalive.lab.packets.segment import ACK, RST

if TYPE_CHECKING:
    from keptalive.lab.packets.firewall import Firewall


class Rule(ABC):
    """When a flow has been idle for too long, and what then."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def due(self, flow: Flow) -> float:
        """Return when *flow* will have been idle for too long if nothing comes."""
        return flow.idle_since + self.seconds

    @abstractmethod
    def act(self, firewall: Firewall, flow: Flow, now: float, why: str) -> None:
        """Do to a flow what is done then."""

    def stranger(self, firewall: Firewall, arrival: Arrival) -> Flow | None:
        """Meet a packet of no known flow, not a SYN; return the flow that it is taken for, if any."""
        firewall.drop(arrival, firewall.why_unknown(arrival))
        return None

    def stops(self, flow: Flow, side: int) -> str | None:
        """Say why a packet of a flow that is known does not pass; None if it does."""
        return None


class Silent(Rule):
    """Forget."""

    def act(self, firewall: Firewall, flow: Flow, now: float, why: str) -> None:
        """Forget it."""
        firewall.forget(flow, now, why)


class ResetLater(Silent):
    """Forget; whoever sends later gets an RST."""

    def stranger(self, firewall: Firewall, arrival: Arrival) -> Flow | None:
        """Answer with an RST."""
        firewall.answer_with_reset(arrival, firewall.why_unknown(arrival))
        return None


class ResetBoth(Silent):
    """Forget, and tell both ends by an RST."""

    def act(self, firewall: Firewall, flow: Flow, now: float, why: str) -> None:
        """Send both an RST with the sequence number that each expects."""
        firewall.forget(flow, now, why)
        for side in (CLIENT, SERVER):
            reset = flow.towards(side, flow.next[1 - side] or 0, flow.next[side] or 0, RST | ACK)
            firewall.send(side, reset, now, "reset", "RST: the flow was forgotten")


class Rebind(Silent):
    """Forget; the client's side gets another port when it goes on."""

    def stranger(self, firewall: Firewall, arrival: Arrival) -> Flow | None:
        """Take what the client sends for a new flow; the server's packets reach a port of nobody."""
        if arrival.side == CLIENT and not arrival.segment.flags & RST:
            return firewall.rebind(arrival)
        firewall.answer_with_reset(arrival, "the NAT has given this port up")
        return None


class OneDirection(Rule):
    """Forget the way of one side's packets."""

    def __init__(self, seconds: float, side: int) -> None:
        super().__init__(seconds)
        self._side = side

    def due(self, flow: Flow) -> float:
        """Only that side's packets count."""
        return math.inf if flow.forgotten else flow.last[self._side] + self.seconds

    def act(self, firewall: Firewall, flow: Flow, now: float, why: str) -> None:
        """Remember that it is forgotten: the other direction stays open."""
        flow.forgotten = True
        name = ("client", "server")[self._side]
        firewall.journal.flow(now, flow, "expired", f"the {name}'s way: {why}")

    def stops(self, flow: Flow, side: int) -> str | None:
        """What that side sends is lost."""
        return "the flow was forgotten in this direction" if flow.forgotten and side == self._side else None


class Close(Rule):
    """Close as a proxy does that has seen no byte."""

    def due(self, flow: Flow) -> float:
        """Bytes count, probes do not."""
        return flow.with_bytes + self.seconds

    def act(self, firewall: Firewall, flow: Flow, now: float, why: str) -> None:
        """Send both a FIN."""
        proxy.close(firewall, flow, now, f"{why} but for packets without a byte")


class GiveUp(Rule):
    """Close as a proxy does that has waited long enough for the server's answer."""

    def due(self, flow: Flow) -> float:
        """The time runs from the client's last byte on, until the server sends one."""
        return flow.waiting_since + self.seconds

    def act(self, firewall: Firewall, flow: Flow, now: float, why: str) -> None:
        """Answer the client in the server's name, and send both a FIN."""
        proxy.close(firewall, flow, now, f"no answer for {self.seconds:g} s", RESPONSE)


_RULES: dict[type[Fault], Callable[[Any], Rule | None]] = {
    IdleDrop: lambda fault: Silent(fault.seconds),
    IdleReset: lambda fault: ResetLater(fault.seconds),
    IdleResetBoth: lambda fault: ResetBoth(fault.seconds),
    IdleClose: lambda fault: Close(fault.seconds),
    GatewayTimeout: lambda fault: GiveUp(fault.seconds),
    NatRebind: lambda fault: Rebind(fault.seconds),
    OneWay: lambda fault: OneDirection(fault.seconds, ("client", "server").index(fault.side)),
    ProbesFiltered: lambda fault: None if fault.seconds is None else Silent(fault.seconds),
}


def rules_for(faults: Faults) -> list[Rule]:
    """Return the rules of a combination; the first says what becomes of packets of no known flow."""
    expiring = [part for part in faults.parts if part.expires]
    others = [part for part in faults.parts if not part.expires and type(part) in _RULES]
    found = [_RULES[type(part)](part) for part in (*expiring, *others)]
    return [rule for rule in found if rule is not None] or [Silent(math.inf)]
