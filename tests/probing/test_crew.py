"""What the connections of a measurement leave behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from keptalive.probing.crew import Crew
from keptalive.probing.ladder import Goal
from keptalive.probing.signatures import Evidence
from probing.simulation import Path, SimulatedWire, run


@pytest.mark.parametrize(
    ("at_most", "at_least", "buried"),
    [
        (9.0, 9.0, True),
        (5.06, 4.95, True),  # seen once: 0.11 s is a round trip, and the box had counted more than 5 s
        (4.9, 4.9, True),  # its RST may come too late
        (4.0, 4.0, False),
        (0.0, 0.0, False),
    ],
)
def test_who_may_have_been_forgotten_is_buried(at_most: float, at_least: float, buried: bool) -> None:
    """A silence of 4.98 s was survived; what counts is how long this one may have been."""

    async def go() -> None:
        wires: list[SimulatedWire] = []

        def dial(changed: Callable[[], None]) -> SimulatedWire:
            wires.append(SimulatedWire(Path(), changed))
            return wires[-1]

        crew = Crew(dial, Goal(0.01, 720.0, 4), 0.0, Evidence())
        await crew.open_all()
        while crew.opening:
            await asyncio.sleep(0.1)
        assert len(crew.rungs) == len(wires) == 3
        now = asyncio.get_running_loop().time()
        for rung in crew.rungs.values():
            rung.idle_since = now - at_most, now - at_least
        await crew.stop()
        await crew.bury(4.98)
        assert [wire.buried for wire in wires] == [buried] * 3
        assert all(wire._closed for wire in wires)

    run(go(), random.Random(1))
