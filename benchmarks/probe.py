"""What `keptalive probe` costs, and how often it is right: in the kernel lab, and over simulated paths.

    python benchmarks/probe.py [--quick]           the bracket and the time, at 60 s and shorter timeouts, and
                                                   one connection at a time, doubling and bisecting
    python benchmarks/probe.py T ... [--rate R]    other timeouts; at R new connections a second, their number
                                                   / R longer
    python benchmarks/probe.py --loss PERCENT RUNS behind a firewall of 5 s that loses packets
    python benchmarks/probe.py --simulate RUNS     as many simulated paths at 0, 5 and 20 per cent loss

A run that is wrong counts as wrong however fast it was. Each measurement has a lab of its own, all side by
side: they mostly wait. To reach, with at most 50 connections and no limit of rate: the timeout in a bracket
of 2 % (1 % from 20 s on), in 1.6 T + 4 s below 20 s, 1.4 T at 20 s, 1.2 T at 60 s; right in 95 of 100 runs
at 5 % loss; at 20 % never wrong without saying that it is not sure.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from figures import Figure, Findings, parser, table, tell

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
AT_60 = (60.0, 60.0, 60.0)  # the median of three
SHORTER = (5.0, 13.0, 20.0)
AT_ONCE = 8  # labs side by side: each is three processes


TIME = Figure("`probe --rate 0`, to 1 %, T = 60 s: seconds", "the true timeout T", 1.2, "T")
WIDTH = Figure("`probe --rate 0`, T = 60 s: width of the bracket", "the true timeout T", 1.0, "%")
SOCKETS = Figure("`probe --rate 0`, T = 60 s", "", 50, "connections", digits=0)
BISECTION = Figure(
    "one connection at a time, doubling and bisecting, to 1 %, T = 5 s", "the true timeout T", unit="T"
)
ROWS = (TIME, WIDTH, SOCKETS, BISECTION)


def bound(timeout: float) -> float:
    """Return the seconds that a measurement may take."""
    if timeout < 20:
        return 1.6 * timeout + 4
    return (1.4 if timeout < 60 else 1.2) * timeout


def width(result: ProbeResult, timeout: float) -> float:
    """Return the width of the bracket, as a part of the timeout."""
    return ((result.dead_at or 0) - (result.alive_at or 0)) / timeout


def holds(result: ProbeResult, timeout: float) -> bool:
    """Tell whether the timeout is in the bracket."""
    return (
        result.alive_at is not None
        and result.dead_at is not None
        and (result.alive_at <= timeout <= result.dead_at)
    )


async def measured(timeout: float, rate: float = 0.0) -> ProbeResult:
    """Measure one timeout in a lab of its own; it must be in the bracket."""
    lab = await asyncio.to_thread(open_lab, f"idle-drop:{timeout:g}", "kernel")
    try:
        result = await measure(lab, rate=rate)
    finally:
        await asyncio.to_thread(lab.close)
    assert holds(result, timeout), result
    return result


async def one_at_a_time(timeout: float, precision: float) -> float:
    """Return how many times the timeout a search by hand takes."""
    lab = await asyncio.to_thread(open_lab, f"idle-drop:{timeout:g}", "kernel")
    try:
        return await sequential(lab, timeout, precision) / timeout
    finally:
        await asyncio.to_thread(lab.close)


def listing(results: list[tuple[float, ProbeResult]], rate: float = 0.0) -> str:
    """Return what was measured, in a table."""
    rows = []
    for timeout, result in results:
        limit = bound(timeout) + (result.connections / rate if rate else 0)
        narrow = width(result, timeout) <= (0.01 if timeout >= 20 else 0.02)
        kept = result.seconds <= limit and narrow and result.connections <= 50
        rows.append(
            (
                f"{timeout:g} s",
                f"{result.alive_at:.3f} to {result.dead_at:.3f} s",
                f"{width(result, timeout):.2%}",
                f"{result.seconds:.1f} s = {result.seconds / timeout:.2f} T",
                f"{limit:.1f} s",
                str(result.connections),
                "yes" if kept else "**no**",
            )
        )
    return table(("timeout", "bracket", "width", "took", "to reach", "connections", "reached"), rows)


async def figures(quick: bool) -> Findings:
    """Measure all side by side."""
    long, short = ((3.0,), ()) if quick else (AT_60, SHORTER)
    by_hand = one_at_a_time(*((2.0, 0.5) if quick else (5.0, 0.01)))
    *results, times = await asyncio.gather(*map(measured, (*long, *short)), by_hand)
    at_60 = list(zip(long, results, strict=False))
    return Findings(
        [
            TIME.measured(result.seconds / timeout for timeout, result in at_60),
            WIDTH.measured(100 * width(result, timeout) for timeout, result in at_60),
            SOCKETS.measured(result.connections for _, result in at_60),
            BISECTION.measured([times]),
        ],
        [listing(list(zip((*long, *short), results, strict=True)))],
    )


async def others(timeouts: list[float], rate: float) -> Findings:
    """Measure other timeouts, or at another rate."""
    results = await asyncio.gather(*(measured(timeout, rate) for timeout in timeouts))
    return Findings([], [listing(list(zip(timeouts, results, strict=True)), rate)])


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


async def sequential(lab: Lab, timeout: float, precision: float) -> float:
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
    assert alive <= timeout <= dead + 0.05, (alive, dead)
    return time.monotonic() - began


def main() -> int:
    """Run what was asked for; 1 if a figure was missed."""
    made = parser(__doc__)
    made.add_argument("timeouts", nargs="*", type=float, metavar="T", help="other idle timeouts, in seconds")
    made.add_argument("--rate", type=float, default=0.0, help="new connections a second; 0: without limit")
    made.add_argument(
        "--loss", nargs=2, type=int, metavar=("PERCENT", "RUNS"), help="behind a path that loses"
    )
    made.add_argument("--simulate", type=int, metavar="RUNS", help="over simulated paths")
    arguments = made.parse_args()
    if arguments.loss:
        percent, runs = arguments.loss
        return bool(asyncio.run(under_loss(percent / 100, runs)))
    if arguments.simulate:
        return bool(simulated(arguments.simulate))
    if arguments.timeouts or arguments.rate:
        timeouts = arguments.timeouts or [*SHORTER, 60.0]
        return tell((), lambda: asyncio.run(others(timeouts, arguments.rate)), arguments)
    return tell(ROWS, lambda: asyncio.run(figures(arguments.quick)), arguments)


if __name__ == "__main__":
    sys.exit(main())
