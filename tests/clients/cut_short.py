"""What a client makes of a body whose connection dies in the middle, and of one that just ends.

Rule: all cases wait at once, held and plain, so that a test lasts as long as one dead connection.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from clients.servers import FRAMINGS, blackhole
from clients.world import World
from keptalive import Policy
from matrix.witness import set_options
from support import require

#: Kills a dead connection after three seconds.
SHORT = Policy(idle=1, interval=1, count=2)

#: gh-115627: such a Python reads a killed TLS connection as a clean end.
READS_DEATH_AS_END = sys.version_info < (3, 11, 9) or (3, 12) <= sys.version_info < (3, 12, 3)


class Case(NamedTuple):
    """How the end of the body is told, whether over TLS, and whether the client is held with SHORT."""

    framing: str
    tls: bool
    held: bool


#: Sends a request for a URL with a client held with this policy, or plain; once the answer has begun, returns
#: the connection's socket and a function that reads the body to its end.
Start = Callable[[str, "Policy | None"], tuple[Any, Callable[[], bytes]]]


def endings(world: World, start: Start) -> dict[Case, bytes | Exception]:
    """Return what the body was, or the exception, for each case whose path died in mid-body."""
    require(sys.platform == "linux", "IP_MINTTL is Linux's")
    cases = [Case(f, tls, held) for f in FRAMINGS for tls in (False, True) for held in (False, True)]
    flights = {}
    for case in cases:
        server = world.secure if case.tls else world.origin
        sock, finish = start(server.url(f"/part/{case.framing}"), SHORT if case.held else None)
        if not case.held:
            set_options(sock, str(SHORT))
        blackhole(sock)
        flights[case] = finish
    with ThreadPoolExecutor(len(cases)) as pool:
        return dict(zip(cases, pool.map(lambda case: _outcome(flights[case]), cases), strict=True))


def check_endings(
    outcomes: dict[Case, bytes | Exception],
    error: type[Exception] | tuple[type[Exception], ...],
    cut_short: tuple[str, ...] = ("until-close",),
) -> None:
    """Assert that a held client raises *error*, and that plain ones do as their Python does.

    cut_short: the framings whose bodies a plain client cuts short with success if READS_DEATH_AS_END.
    """
    for case, outcome in outcomes.items():
        if not case.held and case.tls and READS_DEATH_AS_END and case.framing in cut_short:
            assert outcome == b"do", f"{case}: the control was to be cut short with success"
        else:
            assert isinstance(outcome, error), f"{case}: {outcome!r}"


def whole_bodies(world: World, start: Start) -> list[bytes]:
    """Return what a held client read where the server sent all and closed, over TLS without close_notify."""
    world.origin.gate.set()
    world.secure.gate.set()
    urls = [s.url(f"/part/{framing}") for s in (world.origin, world.secure) for framing in FRAMINGS]
    return [start(url, SHORT)[1]() for url in urls]


def _outcome(finish: Callable[[], bytes]) -> bytes | Exception:
    try:
        return finish()
    except Exception as error:
        return error
