"""Which relayed connections nobody has said anything on for some time.

Rule: the kernel counts, and it is asked now and then. A question takes a microsecond, so no connection is
asked more often than it takes to notice its end a thirtieth of the idle timeout late, nor more often than
50 times a second; they take turns, so that ten thousand of them are no burst.

What is counted: segments from either end (tcpi_segs_in), keepalive probes among them, as a firewall does;
or the bytes of the stream (tcpi_bytes_received), as a proxy does, which never sees a probe.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import time
from collections.abc import Callable

from keptalive.errors import LabError
from keptalive.lab.flows import Flow
from keptalive.lab.polling import Poller

_SLICES = 30  # a look each so many-th part of the timeout: the last sign of life is known that exactly
_SHORTEST, _LONGEST = 0.02, 2.0  # s between two looks: what an idle CPU does not notice; what people do not
_GROUPS = 10  # those whose turn is within a tenth of that time are looked at together: fewer wake-ups

# Where in struct tcp_info (linux/tcp.h) the count stands, since Linux 4.1 and 4.2. What is compared is
# bytes: nobody needs the number.
_FIELDS = {"bytes": slice(128, 136), "packets": slice(140, 144)}
_ENOUGH = 144
_TCP, _TCP_INFO = socket.IPPROTO_TCP, socket.TCP_INFO


def count(sock: socket.socket, what: str = "packets") -> bytes:
    """Return how much *sock* has received, as an opaque value. Raises OSError."""
    return sock.getsockopt(_TCP, _TCP_INFO, _ENOUGH)[_FIELDS[what]]


def require_counts() -> None:
    """Raise LabError where this kernel does not count."""
    with socket.socket() as trial:
        if len(count(trial)) != 4:
            raise LabError("this kernel does not count segments: the relay needs Linux 4.2 or later")


class _Heard:
    """What was last known of a flow."""

    __slots__ = ("at_client", "at_server", "client", "flow", "server", "since")

    def __init__(self, flow: Flow) -> None:
        self.flow: Flow | None = flow  # None: nobody is interested any more
        self.client, self.server = flow.client, flow.server
        self.at_client = self.at_server = b""  # what has come from there
        self.since = 0.0  # no sign of life after this time


class Silence:
    """Calls a function once for each flow that was silent for *seconds*."""

    def __init__(
        self, seconds: float, counts: str, poller: Poller, when_silent: Callable[[Flow, float], None]
    ) -> None:
        """Count "packets" or "bytes"; *when_silent* gets the flow and how long it was silent."""
        self._seconds, self._field = seconds, _FIELDS[counts]
        self._poller, self._when_silent = poller, when_silent
        self._tick = min(max(seconds / _SLICES, _SHORTEST), _LONGEST)
        self._heard: dict[Flow, _Heard] = {}
        self._turns: list[tuple[float, int, _Heard]] = []  # a heap: when to look next, at what
        self._numbers = itertools.count()
        self._awake = False

    def add(self, flow: Flow) -> None:
        """Listen to *flow* from now on: it has just said something."""
        now = time.monotonic()
        number = next(self._numbers)
        heard = self._heard[flow] = _Heard(flow)
        self._look_at(heard, now)
        # The first look comes early, for each at another time: many may have come at once.
        first = self._tick * (number % _GROUPS + 1) / _GROUPS
        heapq.heappush(self._turns, (now + min(first, self._seconds), number, heard))
        if not self._awake:
            self._awake = True
            self._poller.at(now + self._tick / _GROUPS, self._look)

    def discard(self, flow: Flow) -> None:
        """Listen to it no longer."""
        heard = self._heard.pop(flow, None)
        if heard is not None:
            heard.flow = None

    def _look_at(self, heard: _Heard, now: float) -> float:
        """Ask the kernel; return for how long there was silence."""
        field = self._field
        at_client = heard.client.sock.getsockopt(_TCP, _TCP_INFO, _ENOUGH)[field]
        at_server = heard.server.sock.getsockopt(_TCP, _TCP_INFO, _ENOUGH)[field]
        if at_client != heard.at_client or at_server != heard.at_server:
            heard.at_client, heard.at_server, heard.since = at_client, at_server, now
        return now - heard.since

    def _look(self) -> None:
        """Look at those whose turn it is, and tell who is silent."""
        now = time.monotonic()
        turns, seconds = self._turns, self._seconds
        silent: list[tuple[Flow, float]] = []
        while turns and turns[0][0] <= now:
            _, number, heard = turns[0]
            flow = heard.flow
            if flow is not None and (duration := self._look_at(heard, now)) < seconds:
                heapq.heapreplace(turns, (now + min(self._tick, seconds - duration), number, heard))
                continue
            heapq.heappop(turns)
            if flow is not None:
                self.discard(flow)
                silent.append((flow, duration))
        for flow, duration in silent:
            self._when_silent(flow, duration)
        self._awake = bool(turns)
        if turns:
            self._poller.at(max(turns[0][0], now + self._tick / _GROUPS), self._look)
