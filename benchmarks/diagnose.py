"""How often `keptalive diagnose` is right: the confusion matrix, every cause with real packets.

    python benchmarks/diagnose.py [--quick] [--runs N] [--at-once N] [--cause NAME ...]

Each cause of tests/diagnosis/causes.py is made N times (5), each time in a lab of its own, several side by
side: they mostly wait. Root, or any user who may open a kernel lab; nft, nginx, haproxy and squid. To reach:
no wrong verdict at all, 95 % on the diagonal, the rest cannot-tell; at most 15 s after the later of 1.3 times
the idle timeout and the end of the held arm ("at most after"; what a busy machine came too late to, not
counted); nothing left at the server.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from figures import Figure, Findings, parser, progress, table, tell
from peers import absent

from diagnosis.causes import CAUSES
from diagnosis.worlds import LEAVING, PROGRAMS, WORLDS, Outcome, late, run

WRONG = Figure(
    "`diagnose`: wrong verdicts, or connections left", "the causes, made with packets", 0, "runs", digits=0
)
RIGHT = Figure(
    "`diagnose`: told what it was",
    "the causes, made with packets",
    95,
    "% of the runs",
    at_least=True,
    digits=1,
)
LATE = Figure("`diagnose`: the latest answer", "the held arm's end, 1.3 T", 15, "s after", digits=1)
ROWS = (WRONG, RIGHT, LATE)


async def outcomes_of(names: list[str], runs: int, at_once: int) -> dict[str, list[Outcome]]:
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
            progress(f"{name}: {outcome.verdict}, {outcome.left} left, {late(outcome):.1f} s late")
            progress("\n".join(f"    {line}" for line in outcome.diagnosis.because))

    await asyncio.gather(*(one(name) for _ in range(runs) for name in names))
    return outcomes


def left(name: str, outcome: Outcome) -> int:
    """Return the connections that were left at the server and need not have been."""
    return 0 if name in LEAVING else outcome.left


def matrix(outcomes: dict[str, list[Outcome]]) -> str:
    """Return the matrix."""
    rows = []
    for name, cause in CAUSES.items():
        if name not in outcomes:
            continue
        said = Counter(outcome.verdict for outcome in outcomes[name])
        words = ", ".join(f"{verdict} {times}" for verdict, times in said.most_common())
        slowest = max(0.0, *map(late, outcomes[name]))
        bad = any(wrong(name, outcome) for outcome in outcomes[name])
        mark = "**wrong**" if bad else "" if said[cause.expected] == said.total() else "not told"
        rows.append((name, cause.held, cause.expected, words, f"{slowest:.1f} s", mark))
    return table(("cause", "held", "expected", "said", "at most after", ""), rows)


def wrong(name: str, outcome: Outcome) -> bool:
    """Tell whether a verdict is false, or something was left."""
    return outcome.verdict not in (CAUSES[name].expected, "cannot-tell") or left(name, outcome) > 0


def measure(names: list[str], runs: int, at_once: int) -> Findings:
    """Diagnose all, and count."""
    if missing := [absent(program) for program in PROGRAMS if absent(program)]:
        return Findings([row.without("; ".join(missing)) for row in ROWS], [])
    outcomes = asyncio.run(outcomes_of(names, runs, at_once))
    each = [(name, outcome) for name, found in outcomes.items() for outcome in found]
    right = sum(outcome.verdict == CAUSES[name].expected for name, outcome in each)
    figures = [
        WRONG.measured([sum(wrong(*one) for one in each)]),
        RIGHT.measured([100 * right / len(each)]),
        LATE.measured([max(late(outcome) - outcome.stalled for _, outcome in each)]),
    ]
    stalled = max(outcome.stalled for _, outcome in each)
    summary = f"{right} of {len(each)} on the diagonal. This machine stalled by at most {stalled:.1f} s."
    return Findings(figures, [matrix(outcomes), summary])


def main() -> int:
    """Print the matrix; 1 if it is not as it has to be."""
    made = parser(__doc__)
    made.add_argument("--runs", type=int, metavar="N", help="of each cause: 5")
    made.add_argument("--at-once", type=int, default=10, metavar="N", help="10")
    made.add_argument("--cause", action="append", choices=list(WORLDS), help="only this one")
    arguments = made.parse_args()
    quick = ["no answer in time, connection alive"] if arguments.quick else list(WORLDS)
    runs = arguments.runs or (1 if arguments.quick else 5)
    return tell(ROWS, lambda: measure(arguments.cause or quick, runs, arguments.at_once), arguments)


if __name__ == "__main__":
    sys.exit(main())
