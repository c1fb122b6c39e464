"""The whole measurement over simulated paths: hours of silence in virtual time, every behaviour, many seeds.

The packets, the losses and the boxes are simulated; what decides is the real code.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from keptalive.probing.ladder import Goal
from keptalive.probing.measure import Measurement, Progress
from keptalive.probing.signatures import Behaviour
from probing.simulation import Path, SimulatedWire, run


class Run:
    """What became of one measurement."""

    def __init__(self, path: Path, goal: Goal, rate: float = 0.0) -> None:
        self.path = path
        self.wires: list[SimulatedWire] = []
        self.progress: list[Progress] = []

        def dial(changed: Any) -> SimulatedWire:
            self.wires.append(SimulatedWire(path, changed))
            return self.wires[-1]

        async def measure() -> None:
            self.measurement = Measurement(dial, goal, rate=rate, progress=self.progress.append)
            self.behaviour: Behaviour = await self.measurement.run()
            self.elapsed = self.measurement.elapsed
            await asyncio.sleep(1 + path.round_trip)  # what is on its way arrives

        run(measure(), path.chance)
        self.evidence = self.measurement.evidence
        self.bracket = self.evidence.bracket()

    @property
    def right(self) -> bool:
        """True if the timeout is in the bracket."""
        alive, dead = self.bracket.alive, self.bracket.dead
        return alive is not None and dead is not None and alive <= self.path.timeout <= dead


def over(
    timeout: float = float("inf"), seed: int = 1, *, longest: float = 720.0, rate: float = 0.0, **more: Any
) -> Run:
    return Run(Path(timeout, random.Random(seed), **more), Goal(0.01, longest, 50), rate)


# T -> how long it may take, in seconds
BOUNDS = {5.0: 12.0, 13.0: 24.8, 20.0: 28.0, 60.0: 72.0, 240.0: 270.0, 600.0: 670.0}


@pytest.mark.parametrize("timeout", BOUNDS)
def test_the_timeout_is_found_in_little_more_than_itself(timeout: float) -> None:
    """In the bracket, to one per cent (two below 20 s), with at most 50 connections, all reset or buried."""
    done = over(timeout)

    assert done.behaviour == "silent"
    assert done.right
    assert done.bracket.sure
    assert done.bracket.width <= timeout * (0.01 if timeout >= 20 else 0.02)
    assert done.elapsed <= BOUNDS[timeout]
    assert done.measurement.connections == len(done.wires) <= 50
    assert all(wire._closed for wire in done.wires)
    assert sum(wire.buried for wire in done.wires) >= done.evidence.deaths["silent"]


@pytest.mark.parametrize("round_trip", [0.02, 0.1, 0.3])
def test_a_long_way(round_trip: float) -> None:
    """The bracket is wider by the round trip, since nobody knows where on the way the box is; and right."""
    done = over(60.0, round_trip=round_trip)

    assert done.right
    assert done.bracket.width <= max(0.6, 2.5 * (round_trip + 0.05))


@pytest.mark.parametrize(("round_trip", "lateness"), [(0.001, 0.0), (0.001, 0.02), (0.1, 0.0), (0.1, 0.02)])
def test_nothing_is_left_at_the_server(round_trip: float, lateness: float) -> None:
    """Not even of those whose RST came to a firewall that had forgotten them a moment before."""
    for seed in range(25):
        timeout = random.Random(seed).uniform(4, 20)
        done = over(timeout, seed, round_trip=round_trip, lateness=lateness)

        assert any(wire.buried for wire in done.wires)
        assert not any(wire.kept for wire in done.wires), seed


def test_gently() -> None:
    """At ten connections a second it takes their number / 10 s longer, no more."""
    done = over(60.0, rate=10.0)

    assert done.right
    assert done.elapsed <= 72 + 5
    stamps = sorted(wire.connected for wire in done.wires)
    assert all(stamps[number + 15] - stamps[number] > 1.0 for number in range(len(stamps) - 15))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_under_loss(loss: float, seed: int) -> None:
    """Right; or at least not sure."""
    done = over(random.Random(seed).choice([5.0, 20.0, 60.0, 350.0]), seed, loss=loss)

    assert done.right or not done.bracket.sure
    assert done.measurement.connections <= 50


@pytest.mark.parametrize(
    ("path", "behaviour"),
    [
        ({"timeout": 30.0}, "silent"),
        ({"timeout": 30.0, "resets": True}, "reset"),
        ({"timeout": 30.0, "resets_at_expiry": True}, "reset"),
        ({"timeout": 30.0, "closes_after": 20.0}, "closed-by-peer"),
        ({"closes_after": 60.0}, "closed-by-peer"),
        ({"closes_after": 0.5}, "closed-by-peer"),
        ({"server_probes_every": 10.0}, "kept-alive-by-peer"),
        ({"timeout": 30.0, "server_probes_every": 60.0}, "silent"),
        ({"filters_probes": True}, "probes-filtered"),
        ({"filters_probes": True, "timeout": 30.0}, "probes-filtered"),
        ({"timeout": 0.5}, "silent"),
        ({}, "outlived"),
        ({"down": (20.0, 1e9)}, "outage"),
        ({"forgets_all_at": 20.0}, "outage"),
        ({"timeout": 30.0, "down": (10.0, 14.0)}, "silent"),
        # As long as the path is down, nobody's silence is measured; not even where it ends, or begins, then.
        ({"timeout": 20.0, "down": (18.0, 24.0)}, "silent"),
        ({"timeout": 20.0, "down": (21.0, 29.0)}, "silent"),
        ({"timeout": 60.0, "down": (10.0, 22.0)}, "silent"),
        ({"timeout": 20.0, "down": (18.0, 24.0), "loss": 0.05}, "silent"),
        ({"timeout": 20.0, "down": (18.0, 24.0), "resets": True}, "reset"),
        ({"timeout": 30.0, "takes": 20}, "silent"),
        ({"takes": 0}, "unreachable"),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_behaviours(path: dict[str, Any], behaviour: Behaviour, seed: int) -> None:
    """Each thing that a path can do is told from the others; a timeout is right where one is claimed."""
    done = over(seed=seed, longest=100.0, **path)

    assert done.behaviour == behaviour
    if behaviour in ("silent", "reset") and done.path.timeout > 1:
        assert done.right or (done.path.loss and not done.bracket.sure)
    if done.bracket.alive is not None and behaviour != "outage":
        assert done.bracket.alive <= done.path.timeout


def test_nobody_there() -> None:
    """The system's error, after three tries."""
    path = Path(chance=random.Random(1), refuses=True)
    with pytest.raises(ConnectionRefusedError):
        Run(path, Goal(0.01, 100.0, 50))


@pytest.mark.parametrize(("hasty", "seed"), [(0.0, 1), (0.7, 7), (0.9, 1), (0.9, 8)])
def test_nobody_behind_what_accepts(hasty: float, seed: int) -> None:
    """Ended at once, one after the other, some before they are seen to stand: not all fifty are tried."""
    done = over(seed=seed, takes=0, hasty=hasty, rate=10.0)

    assert done.behaviour == "unreachable"
    assert done.measurement.refused == 0
    assert len(done.wires) < 25
    assert done.elapsed < 4


def test_several_gateways() -> None:
    """Connections that meet boxes of different memory contradict each other: that is said, not averaged."""
    unsure = 0
    for seed in range(6):
        done = over(30.0, seed, spread=1.0)
        assert done.bracket.alive is not None
        unsure += not done.bracket.sure or done.bracket.alive > 30.0

    assert unsure >= 5


def test_few_connections() -> None:
    """A coarser bracket, still right."""
    done = Run(Path(30.0, random.Random(3)), Goal(0.01, 720.0, 6))

    assert done.right
    assert len(done.wires) <= 6


def test_progress() -> None:
    """The bracket closes in, and the time left is never less than nothing."""
    done = over(60.0)
    alive = [report.alive_at for report in done.progress if report.alive_at is not None]

    assert len(done.progress) > 60
    assert alive == sorted(alive)
    assert all(report.left >= 0 for report in done.progress)
    assert done.progress[0].dead_at is None
    assert done.progress[-1].dead_at == pytest.approx(60.0, rel=0.02)
    assert done.progress[-1].left < 10
