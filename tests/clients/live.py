"""What the kernel holds for this process's connections to a server; keptalive and the client are not asked."""

from __future__ import annotations

from typing import Any

from matrix.witness import established, options


def towards(server: Any) -> list[dict[str, int]]:
    """Return the options of each established connection to one of the servers, over IPv4."""
    with established(server.host) as found:
        return [options(sock) for port, sock in found if port == server.port]
