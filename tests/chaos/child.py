"""The near side of a round of chaos: every client's request, held and plain, in one process.

    python -m chaos.child PLAN       PLAN is a file: a JSON object as `rounds` writes it

Prints "ready" when every client has been used once, over loopback, so that imports and first times are
past; begins at a line on stdin; prints one JSON object for each request. Rule: report, judge nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import struct
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from socket import AF_UNIX, IPPROTO_TCP, TCP_INFO, socket
from typing import Any

from chaos.plan import Asked
from keptalive.lab.control import allow_many_sockets
from matrix import witness
from matrix.cells import Scenario
from matrix.child import Control, Running
from matrix.drivers import driver
from matrix.drivers.base import Driver
from matrix.server import ANSWER, Server

VARIANTS = ("held", "plain")
TICK = 0.1
#: How much longer than the held ones the plain ones get.
GRACE = 1.5
#: How long a request may take to open what hold() takes: longer than any connect, and any stall.
UNHELD = 25.0
# tcpi_state, tcpi_retransmits, tcpi_backoff, and tcpi_rto in microseconds (linux/tcp.h)
_TCP_INFO = struct.Struct("=BxBxBxxxI")


@dataclass
class Fate:
    """What became of one request. Times are of time.monotonic(), which every process shares."""

    client: str
    variant: str
    port: int  # the server's: it is this request's own
    outcome: str
    error: str | None
    began: float
    ended: float | None
    requests: int
    rto: float
    held: bool  # hold() had it, before it ended: what is a stream first has to be open
    protected: bool  # its sockets carried the policy at some time
    late: float  # by how much this process was held up at the worst


class UnixControl(Control):
    """The same, by a way that is not through the firewall."""

    def __init__(self, path: str) -> None:
        self._path = path

    def _connect(self) -> socket:
        sock = socket(AF_UNIX)
        sock.settimeout(60)
        sock.connect(self._path)
        return sock


class Request(Running):
    """One request and the thread that lives its story."""

    def __init__(self, plan: dict[str, Any], asked: Asked, variant: str, control: Control) -> None:
        self.asked = asked
        self.held = self.protected = False
        self.rto = 0.0
        super().__init__({**plan, "client": asked.client}, asked.kind, variant, control)

    def _scenario(self, name: str) -> Scenario:
        return self.asked.scenario()

    async def _story(self, client: Driver) -> str:
        """Open, hold, ask as often as the scenario says; what ends it is timed before anything is closed."""
        target = await client.open()
        try:
            if self.cell.variant == "held":
                for part in client.to_hold(target):
                    self._hold(part)
                self.held = True
            body = ""
            for number in range(self.cell.scenario.requests):
                if number and self.asked.pause:
                    await _pause(client, self.asked.pause)
                body = await client.fetch(target)
            self.result.outcome = "answered" if body == ANSWER else "truncated"
            return body
        except BaseException as error:
            self.result.outcome, self.result.error = "failed", repr(error)
            raise
        finally:
            self.over_at = time.monotonic()
            await client.close(target)

    over_at: float | None = None

    def counts(self) -> bool:
        """Tell whether to wait for it: not for ever for one that dies before it can be held."""
        return self.held or time.monotonic() < self.started + UNHELD

    def watch(self, sock: socket) -> None:
        """Look at one of its connections."""
        self.protected |= self.look(sock) == witness.wanted(self.cell.scenario.policy)
        state, retransmits, backoff, rto = _TCP_INFO.unpack(
            sock.getsockopt(IPPROTO_TCP, TCP_INFO, _TCP_INFO.size)
        )
        if (state, retransmits, backoff) == (witness.TCP_STATE_ESTABLISHED, 0, 0):
            self.rto = max(self.rto, rto / 1e6)

    def fate(self, late: float) -> Fate:
        """Return what became of it."""
        result = self.finish()
        over = self.ended if self.over_at is None else self.over_at
        return Fate(
            self.asked.client,
            self.cell.variant,
            self.origin,
            result.outcome,
            result.error,
            self.started,
            over,
            result.requests,
            self.rto,
            self.held,
            self.protected,
            late,
        )


async def _pause(client: Driver, seconds: float) -> None:
    """Let time pass on a client's own event loop; one that blocks has none."""
    name = type(client).run.__name__
    if name == "blocking":
        time.sleep(seconds)
    elif name == "on_trio":
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


def watch(requests: list[Request], host: str, patience: float) -> float:
    """Look at every request's sockets until each has ended or is lost; return the worst delay of a look."""
    late = 0.0
    mine = {request.origin: request for request in requests}
    held = [request for request in requests if request.cell.variant == "held"]
    give_up = time.monotonic() + patience
    last = time.monotonic()
    while any(_goes_on(request) for request in requests) and time.monotonic() < give_up:
        with witness.established(host) as found:
            for port, sock in found:
                if port in mine and _goes_on(mine[port]):
                    with contextlib.suppress(OSError):  # it has ended meanwhile
                        mine[port].watch(sock)
        if not any(_goes_on(one) and one.counts() for one in held):
            give_up = min(give_up, time.monotonic() + GRACE)
        late = max(late, time.monotonic() - last - TICK)
        last = time.monotonic()
        time.sleep(TICK)
    return late


def _goes_on(request: Request) -> bool:
    return request.over_at is None and request.ended is None


def warm_up(plan: dict[str, Any], asked: list[Asked]) -> None:
    """Use every client once, over loopback, with a server in this process."""
    serving = threading.Event()
    folder = Path(plan["ca_file"]).parent
    path = folder / f"warm-up-{os.getpid()}"

    async def serve() -> None:
        server = Server("127.0.0.1", str(folder / "server.pem"), 0.0)
        await asyncio.start_unix_server(server.control, path)
        serving.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=[serve()], daemon=True).start()
    serving.wait()
    control = UnixControl(str(path))
    for one in asked:
        first = Request({**plan, "host": "127.0.0.1"}, replace(one, pause=0.0), "held", control)
        first.started = time.monotonic()
        first.thread.start()
        first.thread.join(60)
        if first.result.outcome != "answered":
            print(f"{one.client} cannot even do without a fault: {first.result}", file=sys.stderr)


def main(plan: dict[str, Any]) -> None:
    allow_many_sockets()
    logging.getLogger("keptalive").addHandler(logging.StreamHandler())
    asked = [Asked(**one) for one in plan["asked"]]
    asked = [one for one in asked if not driver(one.client).missing("plain")]
    warm_up(plan, asked)
    control = UnixControl(plan["control"])
    requests = [Request(plan, one, variant, control) for one in asked for variant in VARIANTS]
    print("ready", flush=True)
    sys.stdin.readline()
    beginning = time.monotonic()

    def begin_in_time() -> None:
        for request in sorted(requests, key=lambda request: request.asked.start):
            time.sleep(max(0.0, beginning + request.asked.start - time.monotonic()))
            request.started = time.monotonic()
            request.thread.start()

    for request in requests:
        request.started = beginning + request.asked.start
    threading.Thread(target=begin_in_time, daemon=True).start()
    late = watch(requests, plan["host"], plan["patience"])
    for request in requests:
        print(json.dumps(asdict(request.fate(late))))
    sys.stdout.flush()
    os._exit(0)  # some threads wait for ever: that is what was to be shown


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
