"""A measurement inside a lab, from this process.

Rule: the sockets are made in advance. To ask the lab for one is a question to another process: on a busy
machine, longer than a measurement's event loop may stand still.
"""

from __future__ import annotations

import asyncio
import socket

from keptalive.lab import Lab
from keptalive.probing.ladder import Goal
from keptalive.probing.result import ProbeResult
from keptalive.probing.session import Session
from keptalive.probing.target import Target

_CONNECTIONS = 50
_SOCKETS = 2 * _CONNECTIONS  # one more to bury each


async def measure(
    lab: Lab,
    *,
    host: str | None = None,
    port: int | None = None,
    tls: bool = False,
    http: str | None = None,
    longest: float = 720.0,
    rate: float = 0.0,
) -> ProbeResult:
    """Measure the lab's path, or one of its ports, with 50 connections and to one per cent."""
    family = socket.AF_INET6 if ":" in (host or "") else socket.AF_INET
    stock = await asyncio.to_thread(lambda: [lab.client_socket(family) for _ in range(_SOCKETS)])
    target = Target(host or lab.host, port or lab.port, tls, http)
    session = Session(
        target,
        Goal(0.01, longest, _CONNECTIONS),
        rate=rate,
        make_socket=lambda _: stock.pop(),
    )
    try:
        return await session.run()
    finally:
        for unused in stock:
            unused.close()
