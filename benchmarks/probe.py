"""What `keptalive probe` costs, and how often it is right: in the kernel lab, and over simulated paths.

    python benchmarks/probe.py [T ...]             the bracket and the time, each idle timeout (5 13 20 60)
    python benchmarks/probe.py --rate R [T ...]    at R new connections a second: their number / R longer
    python benchmarks/probe.py --loss PERCENT RUNS behind a firewall of 5 s that loses packets
    python benchmarks/probe.py --simulate RUNS     as many simulated paths at 0, 5 and 20 per cent loss
    python benchmarks/probe.py --sequential        doubling and bisection, one connection at a time, at 5 s

A run that is wrong counts as wrong however fast it was. To reach, with at most 50 connections and no limit of
rate: the timeout in a bracket of 2 % (1 % from 20 s on), in 1.6 T + 4 s below 20 s, 1.4 T at 20 s, 1.2 T at
60 s; right in 95 of 100 runs at 5 % loss; at 20 % never wrong without saying that it is not sure.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from keptalive.lab import Lab, open_lab
from keptalive.probing.estimate import Bracket
from keptalive.probing.ladder import Goal
from keptalive.probing.measure import Measurement
from keptalive.probing.result import ProbeResult
from keptalive.probing.wire import TcpWire
from probing.measuring import measure
from probing.simulation import Path as SimulatedPath
from probing.simulation import SimulatedWire, run

SIMULATED = (5.0, 13.0, 20.0, 60.0, 240.0, 350.0, 600.0)
DEFAULT = ("5", "13", "20", "60")
AT_ONCE = 8  # labs side by side: each is three processes


def bound(timeout: float) -> float:
    """Return the seconds that a measurement may take."""
    if timeout < 20:
        return 1.6 * timeout + 4
    return (1.4 if timeout < 60 else 1.2) * timeout


def holds(result: ProbeResult, timeout: float) -> bool:
    """Tell whether the timeout is in the bracket."""
    return (
        result.alive_at is not None
        and result.dead_at is not None
        and (result.alive_at <= timeout <= result.dead_at)
    )


async def times(timeouts: list[float], rate: float = 0.0) -> int:
    """Measure each timeout in a lab of its own, all side by side; return how many missed their bound."""

    async def one(timeout: float) -> tuple[float, ProbeResult]:
        lab = await asyncio.to_thread(open_lab, f"idle-drop:{timeout:g}", "kernel")
        try:
            return timeout, await measure(lab, rate=rate)
        finally:
            await asyncio.to_thread(lab.close)

    missed = 0
    for timeout, result in await asyncio.gather(*map(one, timeouts)):
        assert holds(result, timeout), result
        limit = bound(timeout) + (result.connections / rate if rate else 0)
        width = ((result.dead_at or 0) - (result.alive_at or 0)) / timeout
        ok = (
            result.seconds <= limit
            and width <= (0.01 if timeout >= 20 else 0.02)
            and result.connections <= 50
        )
        missed += not ok
        print(
            f"{timeout:4g} s: {result.alive_at:.3f} to {result.dead_at:.3f} ({width:.2%}), "
            f"{result.seconds:.1f} s = {result.seconds / timeout:.2f} T (to reach {limit:.1f} s), "
            f"{result.connections} connections{'' if ok else '   MISSED'}",
            flush=True,
        )
    return missed


async def under_loss(part: float, runs: int) -> int:
    """Measure behind a firewall of 5 s that loses packets; return how many were wrong and sure."""
    gate, said = asyncio.Semaphore(AT_ONCE), Counter[str]()
    widths, seconds = [], []

    async def one() -> None:
        async with gate:
            lab = await asyncio.to_thread(open_lab, f"idle-drop:5,loss:{part:g}", "packet")
            try:
                result = await measure(lab)
            finally:
                await asyncio.to_thread(lab.close)
        said[f"{'right' if holds(result, 5) else 'wrong'}, {'sure' if result.sure else 'not sure'}"] += 1
        widths.append(((result.dead_at or 0) - (result.alive_at or 0)) / 5)
        seconds.append(result.seconds)
        if not holds(result, 5):
            print(result, flush=True)

    await asyncio.gather(*(one() for _ in range(runs)))
    print(
        f"{part:.0%} loss each way, {runs} runs: {dict(said)}; bracket {sorted(widths)[runs // 2]:.1%} "
        f"(widest {max(widths):.1%}), {sorted(seconds)[runs // 2]:.1f} s (longest {max(seconds):.1f} s)"
    )
    return said["wrong, sure"]


def simulated(runs: int) -> int:
    """Measure simulated paths; return how many were wrong and sure."""
    wrong_and_sure = 0
    for loss in (0.0, 0.05, 0.2):
        said, slowness = Counter[str](), []
        for seed in range(runs):
            chance = random.Random(seed)
            timeout = chance.choice(SIMULATED) * chance.uniform(0.9, 1.1)
            path = SimulatedPath(timeout, chance, loss, round_trip=chance.choice((0.001, 0.02, 0.1)))
            found, seconds = run(over(path), chance)
            right = (
                found.alive is not None and found.dead is not None and found.alive <= timeout <= found.dead
            )
            said[f"{'right' if right else 'wrong'}, {'sure' if found.sure else 'not sure'}"] += 1
            slowness.append((seconds - 8) / timeout)
        wrong_and_sure += said["wrong, sure"]
        print(
            f"{loss:.0%} loss, {runs} paths: {dict(said)}; "
            f"at most {max(slowness):.2f} T + 8 s, half of them {sorted(slowness)[runs // 2]:.2f} T + 8 s",
            flush=True,
        )
    return wrong_and_sure


async def over(path: SimulatedPath) -> tuple[Bracket, float]:
    """Measure one simulated path."""
    measurement = Measurement(lambda changed: SimulatedWire(path, changed), Goal(0.01, 900.0, 50))
    await measurement.run()
    return measurement.evidence.bracket(), measurement.elapsed


async def sequential(lab: Lab, precision: float = 0.01) -> float:
    """Find the timeout as one would by hand: a fresh connection, a silence, a question; again."""

    async def lives(silence: float) -> bool:
        wire = TcpWire(2, (lab.host, lab.port), changed=lambda: None, make_socket=lab.client_socket)
        await wire.connect()
        try:
            await asyncio.sleep(silence)
            before = wire.look().segments
            wire.probe()
            await asyncio.sleep(0.3)
            return wire.look().segments > before
        finally:
            await wire.bury()

    began = time.monotonic()
    alive, dead = 1.1, 2.2
    while await lives(dead):
        alive, dead = dead, dead * 2
    while dead - alive > precision * alive:
        middle = (alive + dead) / 2
        alive, dead = (middle, dead) if await lives(middle) else (alive, middle)
    assert alive <= 5 <= dead + 0.05, (alive, dead)
    return time.monotonic() - began


def main(arguments: list[str]) -> int:
    """Run what was asked for; 1 if a figure was missed."""
    match arguments:
        case ["--loss", percent, runs]:
            return bool(asyncio.run(under_loss(float(percent) / 100, int(runs))))
        case ["--simulate", runs]:
            return bool(simulated(int(runs)))
        case ["--sequential"]:
            with open_lab("idle-drop:5", "kernel") as lab:
                seconds = asyncio.run(sequential(lab))
            print(f"   5 s: one connection at a time {seconds:.1f} s = {seconds / 5:.1f} T")
            return 0
        case ["--rate", rate, *timeouts]:
            return bool(asyncio.run(times(list(map(float, timeouts or DEFAULT)), float(rate))))
        case timeouts:
            return bool(asyncio.run(times(list(map(float, timeouts or DEFAULT)))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
