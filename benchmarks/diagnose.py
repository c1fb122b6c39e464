"""How often `keptalive diagnose` is right: the confusion matrix, every cause with real packets.

    python benchmarks/diagnose.py [--runs N] [--at-once N] [--cause NAME ...]

Each cause of tests/diagnosis/causes.py is made N times (5), each time in a lab of its own, several side by
side: they mostly wait. Root, or any user who may open a kernel lab; nft, nginx, haproxy and squid. To reach:
no wrong verdict at all, 95 % on the diagonal, the rest cannot-tell; at most 15 s after the later of 1.3 times
the idle timeout and the end of the held arm ("at most after"; what a busy machine came too late to, not
counted); nothing left at the server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from diagnosis.causes import CAUSES
from diagnosis.worlds import LEAVING, WORLDS, Outcome, late, run


async def measure(names: list[str], runs: int, at_once: int) -> dict[str, list[Outcome]]:
    """Diagnose each cause so many times."""
    executor = ThreadPoolExecutor(at_once, thread_name_prefix="asyncio_labs")
    asyncio.get_running_loop().set_default_executor(executor)
    gate, outcomes = asyncio.Semaphore(at_once), defaultdict(list)

    async def one(name: str) -> None:
        async with gate:
            outcome = await run(name)
        outcomes[name].append(outcome)
        cause = CAUSES[name]
        if outcome.verdict != cause.expected or left(name, outcome) or late(outcome) - outcome.stalled > 15:
            print(f"{name}: {outcome.verdict}, {outcome.left} left, {late(outcome):.1f} s late", flush=True)
            print("\n".join(f"    {line}" for line in outcome.diagnosis.because), flush=True)

    await asyncio.gather(*(one(name) for _ in range(runs) for name in names))
    return outcomes


def left(name: str, outcome: Outcome) -> int:
    """Return the connections that were left at the server and need not have been."""
    return 0 if name in LEAVING else outcome.left


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """Return the matrix in Markdown."""
    lines = ["| cause | held | expected | said | at most after | |", "|---|---|---|---|---|---|"]
    right = wrong = total = 0
    for name, cause in CAUSES.items():
        if name not in outcomes:
            continue
        said = Counter(outcome.verdict for outcome in outcomes[name])
        total += said.total()
        right += said[cause.expected]
        bad = said.total() - said[cause.expected] - said["cannot-tell"] * (cause.expected != "cannot-tell")
        wrong += bad
        words = ", ".join(f"{verdict} {times}" for verdict, times in said.most_common())
        slowest = max(0.0, *map(late, outcomes[name]))
        mark = "WRONG" if bad else "" if said[cause.expected] == said.total() else "not told"
        lines.append(f"| {name} | {cause.held} | {cause.expected} | {words} | {slowest:.1f} s | {mark} |")
    stalled = max(outcome.stalled for row in outcomes.values() for outcome in row)
    lines += [
        "",
        f"{right} of {total} on the diagonal ({right / total:.1%}), {wrong} wrong. "
        f"Stalls of this machine: {stalled:.1f} s.",
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the matrix; 1 if it is not as it has to be."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--cause", action="append", choices=list(WORLDS))
    args = parser.parse_args()
    outcomes = asyncio.run(measure(args.cause or list(WORLDS), args.runs, args.at_once))
    print(table(outcomes))
    told = [outcome.verdict == CAUSES[name].expected for name in outcomes for outcome in outcomes[name]]
    wrong = [
        name
        for name in outcomes
        for outcome in outcomes[name]
        if outcome.verdict not in (CAUSES[name].expected, "cannot-tell") or left(name, outcome)
    ]
    return 1 if wrong or sum(told) < 0.95 * len(told) else 0


if __name__ == "__main__":
    sys.exit(main())
