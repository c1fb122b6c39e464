"""Two ends with a relay between them, for the tests of what it does to them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from keptalive.lab import Lab, open_lab
from lab.scenario import PATIENCE


@contextmanager
def ends(faults: str) -> Iterator[tuple[Lab, socket.socket, socket.socket]]:
    """Yield a relay's lab, and a client and a server that are connected through it."""
    with open_lab(faults, "relay") as lab, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        client, server = connected(lab, listener)
        with client, server:
            yield lab, client, server


def connected(lab: Lab, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Connect through the relay: client, server."""
    client = socket.create_connection(lab.reach(listener.getsockname()[1]), PATIENCE)
    server, _ = listener.accept()
    server.settimeout(PATIENCE)
    return client, server


def wait_for_event(lab: Lab, kind: str, number: int = 1) -> str:
    """Wait until so many events of a kind have happened; return what the last is about."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = [event.detail for event in lab.events if event.kind == kind]
        if len(found) >= number:
            return found[number - 1]
        time.sleep(0.02)
    raise AssertionError(f"no {kind!r} in {lab.events}")


def silent(sock: socket.socket, seconds: float = 0.7) -> bool:
    """Tell whether nothing comes for some time: no byte, no FIN, no RST."""
    sock.settimeout(seconds)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(PATIENCE)
    return False
