"""Every client at once in one process: under install(), and without it as the control.

Rule: report what the kernel held, judge nothing. The clients are the matrix's, driven as their users do;
nobody holds them. `first` is what the process does first: "install", so that every library is imported
afterwards, or "import", so that all of them have been imported and used before.

    python -m process_wide.child '{"first": "install", "policy": "20:10:3", "clients": [...], ...}'

Prints one JSON object: client -> {"installed": SEEN, "control": SEEN}, where SEEN has `options`, those of
its connections when they were last seen waiting, and `error`.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import keptalive
from matrix import witness
from matrix.cells import MATRIX, Cell
from matrix.child import TICK, Control
from matrix.drivers import driver
from matrix.drivers.base import Driver
from matrix.server import ANSWER


class Try:
    """One client, one slow answer."""

    def __init__(self, client: str, plan: dict[str, Any], control: Control) -> None:
        kind = driver(client)
        self.port = control.ask(do="open", kind=kind.server, script=["slow"])["port"]
        url = f"http://{plan['host']}:{self.port}"
        self._cell = Cell(client, MATRIX["plain"], "plain", url, None, self.port, plan["ca_file"])
        self._kind = kind
        self.seen: dict[str, Any] = {"options": [], "error": None}
        self.thread = threading.Thread(target=self._live, name=client, daemon=True)

    def _live(self) -> None:
        try:
            client = self._kind(self._cell)
            if self._kind.run(lambda: _story(client)) != ANSWER:
                self.seen["error"] = "not the answer"
        except BaseException as error:
            self.seen["error"] = repr(error)


async def _story(client: Driver) -> str:
    target = await client.open()
    try:
        return await client.fetch(target)
    finally:
        await client.close(target)


def ask_all(plan: dict[str, Any], control: Control) -> dict[str, Any]:
    """Have every client ask, and look at its connections for as long as it waits."""
    tries = {client: Try(client, plan, control) for client in plan["clients"]}
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(plan["host"], list(tries.values()), done))
    watch.start()  # first: the others are busy importing, and some have their answer before all have begun
    for each in tries.values():
        each.thread.start()
    for each in tries.values():
        each.thread.join()
    done.set()
    watch.join()
    return {client: each.seen for client, each in tries.items()}


def _watch(host: str, tries: list[Try], done: threading.Event) -> None:
    while not done.wait(TICK):
        with witness.established(host) as found:
            for each in tries:
                held = [witness.options(sock) for port, sock in found if port == each.port]
                each.seen["options"] = held or each.seen["options"]


def main(plan: dict[str, Any]) -> None:
    control = Control(plan["host"], plan["control"])
    policy = keptalive.Policy.parse(plan["policy"]) if plan["policy"] else None
    results: dict[str, Any] = {}
    if plan["first"] == "import":
        results["control"] = ask_all(plan, control)
    with keptalive.installed(policy):
        results["installed"] = ask_all(plan, control)
    if plan["first"] == "install":
        results["control"] = ask_all(plan, control)
    print(json.dumps(results))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
