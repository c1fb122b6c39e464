"""The packet engine's firewall: for each packet, whether it passes; for each flow, when it is forgotten.

Rule: pure. Time is what the caller says, chance is the caller's, and what it sends itself waits in `outbox`.

A packet meets, in this order: what swallows all (blackhole, outage), chance (loss), the filter of probes;
then the table of flows, which takes nothing but a client's SYN for a new one; what the fault does to idle
flows; a server that has rebooted. Only what passes counts as a sign of life.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from keptalive.lab.event import ASKED_FOR
from keptalive.lab.faults import Faults
from keptalive.lab.faults.fault import Moment
from keptalive.lab.faults.loss import Loss
from keptalive.lab.faults.probes_filtered import ProbesFiltered
from keptalive.lab.faults.state_lost import StateLost
from keptalive.lab.packets import proxy
from keptalive.lab.packets.flow import CLIENT, SERVER, Arrival, Flow, Key, keys_of, name_of
from keptalive.lab.packets.journal import Journal
from keptalive.lab.packets.rules import rules_for
from keptalive.lab.packets.segment import ACK, HOPS, RST, SYN, Segment, reset_for

# nf_conntrack's own times for what is not established yet, and for what an RST or both FINs have ended.
_HALF_OPEN, _OVER = 60.0, 10.0  # s

_REMEMBERED = 10_000  # flows that were forgotten, of which the record can still say when

_PORTS = range(32768, 61000)  # for a flow that gets another: net.ipv4.ip_local_port_range


# What a packet that passes is recorded as, if it matters.
_KINDS = {"probe": "probe", "answer": "answer", "RST": "reset"}


class Own(NamedTuple):
    """A segment that the firewall sends."""

    side: int  # to whom
    segment: Segment
    payload: bytes
    hops: int


class Firewall:
    """All flows of one lab."""

    def __init__(self, faults: Faults, random: Callable[[], float]) -> None:
        """Do what *faults* say; *random* returns numbers from 0 to 1."""
        self.journal = Journal()
        self.outbox: list[Own] = []
        self._random = random
        self._rules = rules_for(faults)
        loss = faults.get(Loss)
        self._loss = 0.0 if loss is None else loss.probability
        self._filters_probes = faults.get(ProbesFiltered) is not None
        self._moments = faults.all(Moment)
        self.started = math.inf  # when the first packet of the first connection came
        self._facts = [*self._boundaries(), *((part.time, part) for part in faults.all(StateLost))]
        self._facts.sort(key=lambda fact: fact[0])
        self._flows: tuple[dict[Key, Flow], dict[Key, Flow]] = {}, {}  # by the packets of each side
        self._forgotten: dict[Key, tuple[float, Flow]] = {}  # when, for the record's sake
        self._agenda: list[tuple[float, int, Flow]] = []
        self._serial = count()

    def _boundaries(self) -> list[tuple[float, Moment | StateLost]]:
        starts = [(moment.start, moment) for moment in self._moments]
        return [*starts, *((moment.end, moment) for moment in self._moments if moment.end is not None)]

    # What the caller does.

    def receive(self, side: int, segment: Segment, now: float) -> int | None:
        """Take a packet of *side*; return the client's port that it goes on with, or None: it does not.

        What time alone brings, `advance` does: a packet that came before counts, however late it is seen.
        """
        if side == CLIENT and self.started == math.inf and segment.flags & (SYN | ACK) == SYN:
            self.started = now
        key = keys_of(segment)[side]
        flow = self._flows[side].get(key)
        _, named_by = (now, flow) if flow is not None else self._forgotten.get(key, (now, None))
        what = name_of(segment) if named_by is None else named_by.what(side, segment)
        arrival = Arrival(now, side, segment, what)
        reason = self._swallowed(what, now)
        if reason is not None:
            self.drop(arrival, reason)
            return None
        if side == CLIENT and segment.flags & (SYN | ACK) == SYN:
            flow = self._begin(flow, segment, now)
        elif flow is None:
            flow = self._rules[0].stranger(self, arrival)
        return None if flow is None else self._pass(flow, arrival)

    @property
    def at_rest(self) -> bool:
        """True if there is no flow, or none that has not been ended by its own sides."""
        return all(flow.over for flow in self._flows[CLIENT].values())

    @property
    def next_due(self) -> float:
        """When `advance` is to be called at the latest."""
        flows = self._agenda[0][0] if self._agenda else math.inf
        return min(flows, self.started + self._facts[0][0]) if self._facts else flows

    def advance(self, now: float) -> None:
        """Do what time alone brings."""
        while self._facts and self.started + self._facts[0][0] <= now:
            self._happen(*self._facts.pop(0))
        while self._agenda and self._agenda[0][0] <= now:
            scheduled, _, flow = heapq.heappop(self._agenda)
            if scheduled == flow.scheduled:
                flow.scheduled = math.inf
                self._meet(flow, now)
                self._schedule(flow)

    def forget_all(self, now: float) -> None:
        """Do to every flow what is done to one that was idle for too long."""
        for flow in list(self._flows[CLIENT].values()):
            if not flow.over and flow.box is None:
                self._rules[0].act(self, flow, now, ASKED_FOR)

    # What the rules do.

    def forget(self, flow: Flow, now: float, why: str) -> None:
        """Forget a flow."""
        self.journal.flow(now, flow, "expired", why)
        self._remove(flow)
        for key in set(flow.keys()):
            self._forgotten[key] = now, flow
        while len(self._forgotten) > _REMEMBERED:
            del self._forgotten[next(iter(self._forgotten))]

    def why_unknown(self, arrival: Arrival) -> str:
        """Say of a packet of no known flow what became of that."""
        forgotten = self._forgotten.get(keys_of(arrival.segment)[arrival.side])
        if forgotten is None:
            return "it belongs to no known flow"
        return f"its flow was forgotten {arrival.time - forgotten[0]:.1f} s ago"

    def drop(self, arrival: Arrival, why: str) -> None:
        """Record a packet that does not pass."""
        self.journal.packet(arrival, "dropped", why)

    def send(
        self,
        side: int,
        segment: Segment,
        now: float,
        kind: str,
        text: str,
        *,
        payload: bytes = b"",
        hops: int = HOPS,
    ) -> None:
        """Send *side* a segment of the firewall's own, unless nothing passes at present."""
        if self._cut_off(now) is None:
            self.journal.own(now, segment, kind, text)
            self.outbox.append(Own(side, segment, payload, hops))

    def answer_with_reset(self, arrival: Arrival, why: str) -> None:
        """Drop a packet, and send an RST to its sender unless it is one itself."""
        self.drop(arrival, why)
        if not arrival.segment.flags & RST:
            self.send(arrival.side, reset_for(arrival.segment), arrival.time, "reset", f"RST: {why}")

    def rebind(self, arrival: Arrival) -> Flow:
        """Take a client's packet from the middle of a stream for a new flow, under another port."""
        segment, now = arrival.segment, arrival.time
        flow = Flow(segment, now)
        flow.established = True
        while flow.outside_port == segment.source_port or flow.keys()[SERVER] in self._flows[SERVER]:
            flow.outside_port = _PORTS[int(self._random() * len(_PORTS))]
        self.journal.flow(now, flow, "rebound", f"it goes on from port {flow.outside_port}")
        self._add(flow)
        return flow

    # How it is done.

    def _swallowed(self, what: str, now: float) -> str | None:
        """Say why a packet is gone before anything else can happen to it."""
        moment = self._cut_off(now)
        if moment is not None:
            return moment.name
        if self._loss and self._random() < self._loss:
            return "lost"
        return "bare probes are filtered" if what == "probe" and self._filters_probes else None

    def _cut_off(self, now: float) -> Moment | None:
        clock = now - self.started
        return next((moment for moment in self._moments if moment.on(clock)), None)

    def _happen(self, clock: float, fault: Moment | StateLost) -> None:
        now = self.started + clock
        if isinstance(fault, Moment):
            self.journal.fact(now, fault.name, f"{fault.name} {'begins' if fault.on(clock) else 'ends'}")
            return
        self.journal.fact(now, fault.name, "the server has rebooted, and knows no connection any more")
        for flow in self._flows[CLIENT].values():
            flow.server_gone = True

    def _begin(self, known: Flow | None, segment: Segment, now: float) -> Flow:
        """Return the flow of a client's SYN: the one that has begun with the same, or a new one."""
        if known is not None:
            if not known.established and not known.over:
                return known
            self._remove(known)
        flow = Flow(segment, now)
        self._add(flow)
        return flow

    def _pass(self, flow: Flow, arrival: Arrival) -> int | None:
        side, what = arrival.side, arrival.what
        reason = next((why for rule in self._rules if (why := rule.stops(flow, side))), None)
        passes = False
        if flow.box is not None:
            proxy.take(self, flow, arrival)
        elif reason is not None:
            self.drop(arrival, reason)
        elif flow.server_gone:
            self._meet_rebooted(flow, arrival)
        else:
            passes = True
            flow.note(arrival)
            self.journal.packet(arrival, _KINDS.get(what, "passed"))
        self._schedule(flow)
        if not passes:
            return None
        return flow.outside_port if side == CLIENT else flow.segment.source_port

    def _meet_rebooted(self, flow: Flow, arrival: Arrival) -> None:
        """Answer for a server that has forgotten; what its old self still sends, never was."""
        if arrival.side == SERVER:
            self.drop(arrival, "the server has rebooted")
            return
        flow.note(arrival)
        self.journal.packet(arrival, _KINDS.get(arrival.what, "passed"))
        if arrival.what != "RST":
            reset = reset_for(arrival.segment)
            self.send(CLIENT, reset, arrival.time, "reset", "RST: the server has rebooted", hops=HOPS - 1)
            flow.over = True

    def _meet(self, flow: Flow, now: float) -> None:
        """Do what is due for a flow, if anything is."""
        if not flow.established or flow.over or flow.box is not None:
            if self._kept_until(flow) <= now:
                self._remove(flow)
            elif flow.box is not None and flow.box.again <= now:
                proxy.repeat(self, flow, now)
            return
        for rule in self._rules:
            if rule.due(flow) <= now:
                rule.act(self, flow, now, f"idle for {rule.seconds:g} s")
                return

    def _kept_until(self, flow: Flow) -> float:
        """Return when a flow that no rule is for is of no interest any more."""
        return flow.idle_since + (_OVER if flow.over else _HALF_OPEN)

    def _due(self, flow: Flow) -> float:
        if flow.over or not flow.established:
            return self._kept_until(flow)
        if flow.box is not None:
            return min(self._kept_until(flow), flow.box.again)
        return min(rule.due(flow) for rule in self._rules)

    def _schedule(self, flow: Flow) -> None:
        """See to it that the flow is looked at when something is due for it."""
        if self._flows[CLIENT].get(flow.keys()[CLIENT]) is not flow:
            return
        due = self._due(flow)
        if due < flow.scheduled:
            flow.scheduled = due
            heapq.heappush(self._agenda, (due, next(self._serial), flow))

    def _add(self, flow: Flow) -> None:
        for table, key in zip(self._flows, flow.keys(), strict=True):
            table[key] = flow
        self._schedule(flow)

    def _remove(self, flow: Flow) -> None:
        for table, key in zip(self._flows, flow.keys(), strict=True):
            if table.get(key) is flow:
                del table[key]
