"""A path that dies while a client shakes hands is noticed as well: its socket is protected before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from matrix.drivers import CLIENTS, driver
from matrix.handshakes import PATIENCE
from matrix.harness import environment, need

#: Clients whose connection has to be open, the handshake over, before there is anything to hold.
TO_BE_OPENED = {
    name
    for name in CLIENTS
    if name.split("+")[0] in ("socket", "asyncio", "anyio", "websockets", "websockets-async")
}
SHAKING = [name for name in CLIENTS if "tls" in driver(name).matrix]

Seen = dict[str, Any]


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, str], Seen]:
    done = subprocess.run(
        [sys.executable, "-m", "matrix.handshakes"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE + 120,
        check=True,
    )
    found = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {(one["client"], one["variant"]): one for one in found}


@pytest.mark.parametrize("client", SHAKING)
def test_sockets_are_protected_in_the_handshake(client: str, seen: dict[tuple[str, str], Seen]) -> None:
    """Those of held clients, and not of plain ones."""
    need(client, "tls")
    held, plain = seen[client, "held"], seen[client, "plain"]

    assert held["connected"]
    assert plain["connected"]
    assert not plain["protected"]
    assert held["held"] == held["protected"] == (client not in TO_BE_OPENED)
