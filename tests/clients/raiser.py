"""Meets every fate with every client, all at once, and prints what explain() makes of each exception.

Rule: report what was raised and explained, judge nothing. Runs as a program, under any Python, with the
clients installed there:

    python -m clients.raiser '["requests", "httpx"]'

Prints one JSON object for each client and fate. The path of those that wait dies under them: the lab's relay
forgets their connections when the last of them has sent its request, and keepalive finds out.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import trustme

import keptalive
from clients.fates import END, HALF, RESET, SILENCE, Fates
from clients.time_limits import TIME_LIMITS
from keptalive.lab import open_lab
from matrix.cells import Cell, Scenario
from matrix.drivers import CLIENTS, driver
from matrix.drivers.base import Driver

#: Finds a path that died in three seconds.
QUICK = keptalive.Policy(idle=1, interval=1, count=2)
LIMIT = 2.0  # s: nothing answers, so it is always reached; long enough to connect on a busy machine
LIMITED_AT_A_TIME = 12
PATIENCE = 60.0  # s until every waiting request has arrived, and again until all have ended

#: What a driver can meet, and what a client with a time limit can.
FATES = tuple(
    f"{fate}{half}{tls}" for fate in (SILENCE, RESET, END) for half in ("", HALF) for tls in ("", "-tls")
)
REFUSED, READING, CONNECTING = "refused", "limit-reading", "limit-connecting"


class Grpc(Driver):
    """A channel with keepalive as its options; it cannot be held."""

    needs = ("grpc",)
    server = "grpc"

    async def open(self) -> Any:
        import grpc

        from keptalive.clients.grpc import channel_options

        address = self.cell.url.partition("://")[2]
        return grpc.insecure_channel(address, options=channel_options(QUICK))

    async def fetch(self, target: Any) -> str:
        return target.unary_unary("/keptalive.Test/Wait")(b"")


def driver_of(client: str) -> type[Driver]:
    return Grpc if client == "grpc" else driver(client)


def fates_of(client: str) -> list[str]:
    """Return the fates that a client can meet; the two lists of clients differ a little."""
    met = []
    if client in (*CLIENTS, "grpc"):
        kind = driver_of(client).server
        met += [fate for fate in FATES if kind == "http" or (fate == SILENCE or fate in (RESET, END))]
        met += [REFUSED]
    return met + ([READING, CONNECTING] if client in TIME_LIMITS else [])


@dataclass
class Raised:
    """What a client raised, and what explain() says of it."""

    client: str
    fate: str
    raised: str | None = None  # its class, None: nothing was raised
    cause: str | None = None
    errno: str | None = None
    what: str | None = None
    may_help: bool | None = None
    arrived: bool = False  # for a time limit: did the server have the request before it was reached?
    trace: str = ""  # for whoever reads a failing test


class Raiser:
    """Everything that the cells share."""

    def __init__(self, directory: str) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._ca_file = str(Path(directory, "ca.pem"))
        authority.cert_pem.write_to_path(self._ca_file)
        self._fates = Fates(context)
        self._full = self._fates.full()
        self._waiting: list[int] = []  # ports where a request is to wait until its path dies
        self.results: list[Raised] = []
        self._threads: list[threading.Thread] = []

    def start(self, client: str, lab: Any) -> None:
        """Let a client meet all its fates, each in a thread of its own."""
        for fate in fates_of(client):
            if fate not in (READING, CONNECTING):
                story = self._driven(client, fate, lab)
                thread = threading.Thread(
                    target=self._live, args=(client, fate, story), name=fate, daemon=True
                )
                thread.start()
                self._threads.append(thread)
                time.sleep(0.01)  # what each computes at first must not hold up the others

    def reach_limits(self, clients: list[str]) -> None:
        """Let each client reach its own time limits, a few at a time, now that all is imported."""
        cells = [
            (client, fate) for client in clients for fate in (READING, CONNECTING) if client in TIME_LIMITS
        ]
        with ThreadPoolExecutor(LIMITED_AT_A_TIME) as pool:
            for client, fate in cells:
                pool.submit(self._limited, client, fate)

    def let_paths_die(self, lab: Any) -> None:
        """Have the relay forget all connections, once only those are left whose path is to die."""
        deadline = time.monotonic() + PATIENCE
        self._join([cell for cell in self._threads if not cell.name.startswith(SILENCE)], deadline)
        while not all(self._fates.requests[port] for port in self._waiting):
            if time.monotonic() > deadline:
                missing = [port for port in self._waiting if not self._fates.requests[port]]
                print(f"no request has come to {len(missing)} ports", file=sys.stderr)
                break
            time.sleep(0.05)
        time.sleep(0.5)  # what has arrived here may not be acknowledged there
        lab.expire_now()

    @staticmethod
    def _join(threads: list[threading.Thread], deadline: float) -> None:
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def finish(self) -> None:
        self._join(self._threads, time.monotonic() + PATIENCE)

    def _limited(self, client: str, fate: str) -> None:
        """Have a client reach its time limit, connecting or reading."""
        if fate == CONNECTING:
            port = self._full
        else:
            port = self._fates.open(SILENCE, "websocket" if "websockets" in client else "http")
        result = self._live(client, fate, lambda: TIME_LIMITS[client](f"http://127.0.0.1:{port}", LIMIT))
        result.arrived = bool(self._fates.requests[port])

    def _driven(self, client: str, fate: str, lab: Any) -> Callable[[], Any]:
        cls = driver_of(client)
        tls = fate.endswith("-tls")
        if fate == REFUSED:
            host, port = "127.0.0.1", self._fates.closed()
        else:
            # gRPC speaks to whatever sends an RST or a FIN; only to wait it needs a server of its own.
            kind = "http" if cls.server == "grpc" and fate != SILENCE else cls.server
            behind = self._fates.open(fate.removesuffix("-tls"), kind, tls=tls)
            host, port = lab.reach(behind)
            if fate.startswith(SILENCE):
                self._waiting.append(behind)
        url = f"{'https' if tls else 'http'}://{host}:{port}"
        cell = Cell(client, Scenario(tls=tls, method="POST"), "held", url, None, port, self._ca_file)
        return lambda: _run(cls(cell))

    def _live(self, client: str, fate: str, story: Callable[[], Any]) -> Raised:
        result = Raised(client, fate)
        try:
            story()
        except BaseException as error:
            result.raised = f"{type(error).__module__}.{type(error).__qualname__}"
            result.trace = "".join(traceback.format_exception(error))[-3000:]
            found = keptalive.explain(error)
            if found is not None:
                result.cause, result.errno, result.what = found.cause, found.errno_name, found.what
                result.may_help = found.keepalive_may_help
        self.results.append(result)
        return result


def _run(client: Driver) -> None:
    async def story() -> str:
        target = await client.open()
        try:
            if client.server != "grpc":
                keptalive.hold(target, QUICK)
            return await client.fetch(target)
        finally:
            await client.close(target)

    client.run(story)


def main(clients: list[str]) -> None:
    logging.disable(logging.CRITICAL)  # some log what they raise; stderr is for what goes wrong here
    with tempfile.TemporaryDirectory() as directory, open_lab("idle-drop:3600", engine="relay") as lab:
        raiser = Raiser(directory)
        for client in clients:
            raiser.start(client, lab)
        raiser.let_paths_die(lab)
        raiser.reach_limits(clients)
        raiser.finish()
        for result in list(raiser.results):
            print(json.dumps(asdict(result)))
        sys.stdout.flush()
    os._exit(0)  # a client that still waits is one that gave no result


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
