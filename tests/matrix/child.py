"""One client's cells, all at once, in one process: held, plain, and raw side by side.

Rule: report what happened, judge nothing. Runs as a program on the client's side of the firewall, and
under any Python that has the client's library:

    python -m matrix.child '{"client": "requests", "cells": [["plain", "held"], ...], ...}'

Prints one JSON object for each cell. A cell that still waits some seconds after those of its scenario that
keptalive protects were answered (or failed) is "lost": it is left as it is, and ends with the process.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from matrix import witness
from matrix.cells import KEEPING, PROTECTED, Cell, Scenario
from matrix.drivers import driver
from matrix.drivers.base import Driver
from matrix.server import ANSWER

#: How far apart the cells begin: what each computes at first, so that none holds up another.
PACE = 0.03
#: How often the sockets are looked at.
TICK = 0.1


@dataclass
class Result:
    """What became of one cell."""

    client: str
    scenario: str
    variant: str
    outcome: str = "lost"  # or "answered", "truncated", "failed"
    seconds: float = 0.0  # until then, or so long it waited
    error: str | None = None
    options: list[dict[str, int]] = field(default_factory=list)  # of the sockets the slow answer came over
    requests: int = 0  # that reached the origin
    methods: list[str] = field(default_factory=list)
    waited: float = 0.0  # since the last of them arrived there
    connections: int = 0  # that the client opened to where the slow answer comes from
    complaints: list[str] = field(default_factory=list)  # what keptalive warned of


class Control:
    """Asks the server for ports, and for what they saw."""

    def __init__(self, host: str, port: int) -> None:
        self._where = host, port

    def _connect(self) -> socket.socket:
        return socket.create_connection(self._where, 60)

    def ask(self, **request: Any) -> Any:
        with self._connect() as sock, sock.makefile("rw") as stream:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            return json.loads(stream.readline())


class Running:
    """A cell and the thread that lives its story."""

    def __init__(self, plan: dict[str, Any], scenario: str, variant: str, control: Control) -> None:
        self.result = Result(plan["client"], scenario, variant)
        self._control = control
        self._driver_class = driver(plan["client"])
        self.cell = self._prepare(plan, scenario, variant)
        self.started = time.monotonic()
        self.ended: float | None = None
        self.thread = threading.Thread(target=self._live, name=f"{scenario} {variant}", daemon=True)

    def _scenario(self, name: str) -> Scenario:
        return self._driver_class.scenario(name)

    def _prepare(self, plan: dict[str, Any], name: str, variant: str) -> Cell:
        """Have the server open the ports that the cell needs."""
        scenario = self._scenario(name)
        host, scheme = plan["host"], "https" if scenario.tls else "http"
        url = f"{scheme}://{host}:"
        script = [act for act in scenario.script if act != "refuse"]
        kind = self._driver_class.server
        self.origin = self._control.ask(
            do="open",
            kind=kind,
            tls=scenario.tls,
            script=script,
            refuse_for=1.0 if "refuse" in scenario.script else 0,
            answer=self._driver_class.answer(),
            headers=self._driver_class.answer_headers,
        )["port"]
        first = entrance = self.origin
        proxy = None
        if scenario.redirected:
            first = self._control.ask(
                do="open", kind=kind, tls=scenario.tls, script=["redirect"], location=f"{url}{self.origin}"
            )["port"]
        if scenario.proxy:
            entrance = self._control.ask(do="open", kind=scenario.proxy)["port"]
            proxy = f"{'socks5' if scenario.proxy == 'socks' else 'http'}://{host}:{entrance}"
        return Cell(plan["client"], scenario, variant, f"{url}{first}", proxy, entrance, plan["ca_file"])

    def _live(self) -> None:
        try:
            client = self._driver_class(self.cell)
            body = client.run(lambda: self._story(client))
            self.result.outcome = "answered" if body == ANSWER else "truncated"
        except BaseException as error:
            self.result.outcome = "failed"
            self.result.error = repr(error)
        self.ended = time.monotonic()

    async def _story(self, client: Driver) -> str:
        """Open, ask as often as the scenario says, hold in time; return the last answer."""
        scenario = self.cell.scenario
        target = await client.open()
        try:
            body = ""
            for request in range(scenario.requests):
                if self.cell.variant == "held" and request == scenario.hold_before:
                    for part in client.to_hold(target):
                        self._hold(part)
                body = await client.fetch(target)
            return body
        finally:
            await client.close(target)

    def _hold(self, target: Any) -> None:
        import keptalive

        held = keptalive.hold(target, keptalive.Policy.parse(self.cell.scenario.policy))
        if held is not target:
            raise AssertionError(f"hold() gave back {held!r} for {target!r}")

    def look(self, sock: socket.socket) -> dict[str, int]:
        """Look at one of the cell's connections while it waits; do to it what its variant asks for."""
        policy = self.cell.scenario.policy
        if self.cell.variant == "raw" and witness.options(sock) != witness.wanted(policy):
            witness.set_options(sock, policy)
        return witness.options(sock)

    def finish(self) -> Result:
        """Fetch what the server counted."""
        self.result.seconds = round((self.ended or time.monotonic()) - self.started, 3)
        report = self._control.ask(do="report", ports=[self.origin, self.cell.port])
        self.result.requests = report[str(self.origin)]["requests"]
        self.result.methods = report[str(self.origin)]["methods"]
        self.result.waited = report[str(self.origin)]["waited"]
        self.result.connections = report[str(self.cell.port)]["connections"]
        return self.result


class Watch:
    """Looks at every cell's sockets until each cell has ended or is lost."""

    def __init__(
        self, cells: list[Running], host: str, control: Control, patience: float, grace: float
    ) -> None:
        self._cells = cells
        self._patience = patience
        self._host = host
        self._control = control
        self._grace = grace
        # Of each scenario those that are to be answered: the others are lost if all of these end before them.
        self._protected: dict[str, list[Running]] = defaultdict(list)
        for cell in cells:
            if cell.result.variant in PROTECTED:
                self._protected[cell.result.scenario].append(cell)

    def until_the_end(self) -> None:
        while any(self._waits(cell) for cell in self._cells):
            self._look()
            time.sleep(TICK)

    def _waits(self, cell: Running) -> bool:
        if cell.ended is not None:
            return False
        protected = self._protected[cell.result.scenario]
        if cell in protected or any(other.ended is None for other in protected):
            return time.monotonic() < cell.started + self._patience
        return time.monotonic() < max(other.ended or 0 for other in protected) + self._grace

    def _look(self) -> None:
        by_port: dict[int, list[socket.socket]] = {}
        with witness.established(self._host) as found:
            for port, sock in found:
                by_port.setdefault(port, []).append(sock)
            for cell in self._cells:
                socks = by_port.get(cell.cell.port)
                if socks and cell.ended is None:
                    cell.result.options = [cell.look(sock) for sock in socks]
            self._let_paths_die(by_port)

    def _let_paths_die(self, by_port: dict[int, list[socket.socket]]) -> None:
        dying = [cell for cell in self._cells if cell.cell.scenario.dies and cell.ended is None]
        if not dying:
            return
        report = self._control.ask(do="report", ports=[cell.origin for cell in dying])
        for cell in dying:
            if report[str(cell.origin)]["halves"]:
                for sock in by_port.get(cell.cell.port, ()):
                    witness.cut(sock)


def _install(cells: Sequence[Cell]) -> None:
    """Switch keptalive on for this process, as far as it goes to the ports of these cells."""
    if cells:
        import keptalive

        keptalive.install(keptalive.Policy.parse(KEEPING), ports=[cell.port for cell in cells])


def main(plan: dict[str, Any]) -> None:
    complaints: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    logging.getLogger("keptalive").addHandler(Keep())
    control = Control(plan["host"], plan["control"])
    warm_up = Running(plan, "warm-up", plan["cells"][0][1], control)
    warm_up.thread.start()
    warm_up.thread.join(plan["patience"])
    complaints.clear()
    cells = [Running(plan, scenario, variant, control) for scenario, variant in plan["cells"]]
    _install([cell.cell for cell in cells if cell.result.variant == "installed"])
    watch = Watch(cells, plan["host"], control, plan["patience"], plan["grace"])
    watching = threading.Thread(target=watch.until_the_end)
    watching.start()
    for cell in cells:
        cell.started = time.monotonic()
        cell.thread.start()
        time.sleep(PACE)
    watching.join()
    for cell in cells:
        result = cell.finish()
        result.complaints = complaints
        print(json.dumps(asdict(result)))
    sys.stdout.flush()
    os._exit(0)  # some threads wait for ever: that is what was to be shown


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
