"""Every client at a server that accepts connections and never shakes hands: what its sockets carry meanwhile.

    python -m matrix.handshakes

Rule: report, judge nothing. Prints one JSON object for each client, held and plain, as soon as each has its
connection, and those that are held the policy; else after PATIENCE.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from keptalive.lab.control import allow_many_sockets
from matrix import witness
from matrix.child import PACE, TICK, Control, Running
from matrix.drivers import CLIENTS, driver
from matrix.harness import certificates

HOST = "127.0.0.1"
PATIENCE = 60.0


class Mute(Control):
    """Opens ports that the kernel accepts connections at, and nobody else."""

    def __init__(self) -> None:
        self._listeners: list[socket.socket] = []

    def ask(self, **request: Any) -> Any:
        self._listeners.append(socket.create_server((HOST, 0)))
        return {"port": self._listeners[-1].getsockname()[1]}


class Shaking(Running):
    """A client that waits in its handshake for ever; `held` once it was given to hold()."""

    held = connected = protected = False

    def _hold(self, target: Any) -> None:
        super()._hold(target)
        self.held = True

    def watch(self, sock: socket.socket) -> None:
        """Look at its connection."""
        self.connected = True
        self.protected |= witness.options(sock) == witness.wanted(self.cell.scenario.policy)

    @property
    def settled(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.connected and (self.protected or not self.held)


def main() -> None:
    allow_many_sockets()
    control = Mute()
    with tempfile.TemporaryDirectory(prefix="handshakes-") as folder:
        plan = {"host": HOST, "ca_file": certificates(Path(folder), HOST)}
        clients = [
            Shaking({**plan, "client": client}, "tls", variant, control)
            for client in CLIENTS
            if "tls" in driver(client).matrix and not driver(client).missing("tls")
            for variant in ("held", "plain")
        ]
        for client in clients:
            client.thread.start()
            time.sleep(PACE)
        by_port = {client.origin: client for client in clients}
        give_up = time.monotonic() + PATIENCE
        while not all(client.settled for client in clients) and time.monotonic() < give_up:
            with witness.established(HOST) as found:
                for port, sock in found:
                    if port in by_port:
                        by_port[port].watch(sock)
            time.sleep(TICK)
    for client in clients:
        names = ("held", "connected", "protected")
        print(
            json.dumps(
                {
                    "client": client.result.client,
                    "variant": client.result.variant,
                    **{name: getattr(client, name) for name in names},
                }
            )
        )
    sys.stdout.flush()
    os._exit(0)  # all of them wait for ever: that is what was to be shown


if __name__ == "__main__":
    main()
