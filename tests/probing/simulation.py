"""A path that exists in a clock of its own: thousands of hours of silence in minutes.

Rule: it does to packets what was measured on Linux, so that the real measurement runs over it unchanged:

- a firewall between two legs, each of which loses packets; a flow whose handshake it did not see complete
  is remembered for a minute, an established one for the path's timeout;
- a server that repeats its SYN-ACK after 1, 3, 7, 15 s until it is acknowledged, that answers one keepalive
  probe in half a second, that keeps a connection until an RST arrives, and that may close, or send probes of
  its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from keptalive.probing.wire import TICK, End, Look

T = TypeVar("T")

_HANDSHAKE_TIMEOUT = 60.0  # nf_conntrack_tcp_timeout_syn_recv
_REPEATS = (1.0, 3.0, 7.0, 15.0)
_ONE_ANSWER_IN = 0.5  # net.ipv4.tcp_invalid_ratelimit


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to whatever comes next, a few milliseconds late like a real one."""

    def __init__(self, chance: random.Random, lateness: float = 0.004) -> None:
        self._clock = 0.0
        super().__init__()

        def wait(timeout: float | None = None) -> list[Any]:
            assert timeout is not None, "everybody waits for ever"
            if timeout > 0:
                self._clock += timeout + chance.random() * lateness
            return []

        self._selector.select = wait  # type: ignore[attr-defined]  # of the loop's own selector

    def time(self) -> float:
        """Return the virtual time."""
        return self._clock


def run(coroutine: Coroutine[Any, Any, T], chance: random.Random, lateness: float = 0.004) -> T:
    """Run a coroutine in virtual time."""
    loop = VirtualLoop(chance, lateness)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


@dataclass
class Path:
    """What is on the way, and at its end. Times in seconds."""

    timeout: float = float("inf")
    chance: random.Random = field(default_factory=random.Random)
    loss: float = 0.0  # of packets, in each direction
    round_trip: float = 0.001
    lateness: float = 0.0  # of packets, at most, on each leg: where somebody on the way is busy
    resets: bool = False  # the firewall answers packets of unknown flows with an RST
    resets_at_expiry: bool = False  # or sends one as soon as it forgets
    filters_probes: bool = False
    closes_after: float = float("inf")  # the server, since it was connected
    server_probes_every: float = float("inf")
    down: tuple[float, float] = (float("inf"), float("inf"))  # from, to: nothing passes
    forgets_all_at: float = float("inf")
    refuses: bool = False
    spread: float = 0.0  # each flow meets one of several firewalls, with timeouts up to this factor longer
    takes: int = 10**6  # connections; the server ends more at once
    hasty: float = 0.0  # share of those whose RST is there before connect() has returned

    taken: int = 0

    def passes(self) -> bool:
        """Tell whether a packet survives one of the two legs."""
        start, end = self.down
        now = asyncio.get_running_loop().time()
        return not start <= now < end and self.chance.random() >= 1 - (1 - self.loss) ** 0.5

    def leg(self) -> float:
        """Return the time a packet takes from one end to the firewall, or from there to the other."""
        return self.round_trip / 4 + (self.lateness and self.chance.random() * self.lateness)


class SimulatedWire:
    """One connection over a simulated path."""

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self.end: End | None = None
        self.heard: float | None = None
        self.heard_before: float | None = None
        self.connected = 0.0
        self.buried = False
        self.kept = False  # the server has it, and will until it hears otherwise
        self._path, self._changed = path, changed
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._segments = 0
        self._acknowledged = 0
        self._probes = 0  # unanswered
        self.connected = 0.0
        self._answered = 0.0
        self._timeout = path.timeout * (1 + path.spread * path.chance.random())
        self._entry = _HANDSHAKE_TIMEOUT  # how long the firewall remembers the flow as it is now
        self._seen = 0.0  # when the firewall saw the flow last
        self._known = True
        self._complete = False  # the server saw the handshake complete
        self._last_answer = -1.0
        self._pending: asyncio.TimerHandle | None = None

    # what a rung uses

    async def connect(self) -> None:
        if self._path.refuses:
            raise ConnectionRefusedError(111, "Connection refused")
        for wait in (1.0, 2.0, 4.0, 8.0):
            there = self._path.passes() and self._path.passes()
            back = self._path.passes() and self._path.passes()
            if there and back:
                break
            await asyncio.sleep(wait)
        else:
            raise TimeoutError(110, "Connection timed out")
        await asyncio.sleep(self._path.round_trip)
        if self._path.taken >= self._path.takes and self._path.chance.random() < self._path.hasty:
            raise ConnectionResetError(104, "Connection reset by peer")
        self.connected = self._seen = self._answered = self._loop.time()
        self._segments = 1
        self._path.taken += 1
        self.kept = True
        self._to_server("ack")
        for repeat in _REPEATS:
            self._loop.call_later(repeat, self._repeat_handshake)
        closes = 0.05 if self._path.taken > self._path.takes else self._path.closes_after
        if closes < float("inf"):
            self._loop.call_later(closes, self._server_closes)
        if self._path.server_probes_every < float("inf"):
            self._loop.call_later(self._path.server_probes_every, self._server_probes)
        if self._path.resets_at_expiry:
            self._watch_expiry()

    def probe(self) -> None:
        if self._pending is None:
            idle = self._loop.time() - self._answered
            wait = max(0.0, 1.0 - idle) + self._path.chance.random() * 0.004
            self._pending = self._loop.call_later(wait, self._send_probe)

    def hush(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def say(self, data: bytes) -> None:
        self._to_server("data")

    def look(self) -> Look:
        tick = round(self._answered / 0.004) * 0.004
        answered = (tick - TICK, tick + TICK)
        return Look(self._segments, answered, self._path.round_trip, self._acknowledged, self._probes)

    def close(self) -> None:
        self.hush()
        if not self._closed and self.end is None:
            self._to_server("reset")
        self._closed = True

    async def bury(self) -> None:
        self.close()
        self.buried = True
        self.kept = False

    # what happens to packets

    def _send_probe(self) -> None:
        self._pending = None
        self._probes += 1
        self._to_server("probe")

    def _forgotten(self) -> bool:
        now = self._loop.time()
        if now - self._seen >= self._entry or self._seen < self._path.forgets_all_at <= now:
            self._known = False
        return not self._known

    def _to_server(self, what: str) -> None:
        if self._path.passes() and not self._closed:
            self._loop.call_later(self._path.leg(), self._at_firewall, what)

    def _at_firewall(self, what: str) -> None:
        if self._path.filters_probes and what == "probe":
            return
        if self._forgotten():
            if self._path.resets and self._path.passes():
                self._loop.call_later(self._path.leg(), self._at_client, "reset")
            return
        self._seen, self._entry = self._loop.time(), self._timeout
        if self._path.passes():
            self._loop.call_later(self._path.leg(), self._at_server, what)

    def _at_server(self, what: str) -> None:
        if what == "ack":
            self._complete = True
        elif what == "data":
            self._complete = True
            self._to_client("ack of data")
        elif what == "probe" and self._loop.time() - self._last_answer >= _ONE_ANSWER_IN:
            self._last_answer = self._loop.time()
            self._to_client("answer")
        elif what == "reset":
            self.kept = False

    def _to_client(self, what: str) -> None:
        if self._path.passes() and not self._closed:
            self._loop.call_later(self._path.leg(), self._back_at_firewall, what)

    def _back_at_firewall(self, what: str) -> None:
        if self._forgotten():
            return
        if what != "syn-ack":  # for a flow it knows, conntrack lets one pass and goes on counting
            self._seen = self._loop.time()
        if self._path.passes():
            self._loop.call_later(self._path.leg(), self._at_client, what)

    def _at_client(self, what: str) -> None:
        if self._closed or self.end is not None:
            return
        self._segments += 1
        if what in ("answer", "ack of data"):
            self._answered = self._loop.time()
            self._probes = 0
            self._acknowledged += what == "ack of data"
        elif what in ("syn-ack", "server's probe"):
            self._to_server("ack")
        elif what == "reset":
            self._end(End("reset", self._loop.time()))
        elif what == "fin":
            self._end(End("fin", self._loop.time()))

    def _end(self, end: End) -> None:
        self.end = end
        self._changed()

    def _repeat_handshake(self) -> None:
        if not self._complete:
            self._to_client("syn-ack")

    def _server_closes(self) -> None:
        self.kept = False  # after a while at most: net.ipv4.tcp_fin_timeout, tcp_orphan_retries
        self._to_client("fin")

    def _server_probes(self) -> None:
        if not self._closed:
            self._to_client("server's probe")
            self._loop.call_later(self._path.server_probes_every, self._server_probes)

    def _watch_expiry(self) -> None:
        if self._closed or self.end is not None:
            return
        if self._forgotten():
            self._at_client("reset")
        else:
            self._loop.call_later(0.01, self._watch_expiry)
