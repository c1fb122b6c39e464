"""What the kernel holds for this process's connections to a server, asked without keptalive and without the client."""

from __future__ import annotations

from typing import Any

from matrix.witness import established, options

#: Unlike the default policy, and far longer than any test.
POLICY = "61:16:8"
HELD = {"enabled": 1, "idle": 61, "interval": 16, "count": 8}


def towards(server: Any) -> list[dict[str, int]]:
    """Return the options of each established connection to one of the servers, over IPv4."""
    with established(server.host) as found:
        return [options(sock) for port, sock in found if port == server.port]


def held(*servers: Any) -> bool:
    """Tell whether there is a connection to each server, and all of them carry POLICY."""
    return all(states and all(state == HELD for state in states) for states in map(towards, servers))


def plain(*servers: Any) -> bool:
    """Tell whether there is a connection to each server, and none has keepalive."""
    return all(states and not any(state["enabled"] for state in states) for states in map(towards, servers))
