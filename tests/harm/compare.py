#!/usr/bin/env python3
"""Do no harm, proven with other people's tests: run plain, and under keptalive.install().

    ./dev harm [--complete] [--python PYTHON ...] [--only TEXT ...] [--switch run] [--jobs N]

Runs the standard library's tests of its network modules, and those of urllib3, requests, httpx and
aiohttp, and compares them test by test. Each part runs plain and with the switch on from the first line of
its process, and of each that it starts. With --complete every part also runs plain a second time, to know
what is unsteady by itself. A part with a test that came out otherwise is run again, RUNS_AGAIN times each
way; `outcomes.differs` says what counts as a difference then. Exit code 1 if there is one.

Needs Linux with unshare and ip; fetches the libraries' sources and what their tests need into .harm.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harm import runs, workshop
from harm.outcomes import Comparison, compare
from harm.suites import LIBRARIES, Part

RUNS_AGAIN = 3


@dataclass
class Row:
    """A suite under one Python."""

    suite: str
    python: str
    found: Comparison = field(default_factory=Comparison)
    held: int = 0

    def __str__(self) -> str:
        found = self.found
        same = found.count(), found.count("skipped"), found.count("failure", "error")
        other = len(found.unsteady), len(found.different)
        cells = (self.suite, self.python, found.total, *same, *other, self.held)
        return f"| {' | '.join(map(str, cells))} |"


HEAD = (
    "| suite | Python | tests | the same | of these skipped | of these failing | unsteady | different"
    " | connections held |\n|---|---|---|---|---|---|---|---|---|"
)


def judge(part: Part, *, twice: bool, switch: str = "install") -> tuple[Comparison, int]:
    """Run a part plain and switched, again where they differ; return what was found and what was held."""
    plain = [runs.run(part, "plain") for _ in range(1 + twice)]
    switched = [runs.run(part, switch)]
    held = switched[0].held
    found = _compared(plain, switched)
    doubtful = {**found.unsteady, **found.different}
    if doubtful:
        again = part.narrowed(doubtful)
        for _ in range(RUNS_AGAIN):
            plain.append(runs.run(again, "plain"))
            switched.append(runs.run(again, switch))
        found = Comparison(same=found.same)
        found.add(_compared(plain, switched, only=doubtful))
        if found.different:
            _keep(part, {"plain": plain, switch: switched})
    return found, held


def _compared(
    plain: list[runs.Run], switched: list[runs.Run], only: Collection[str] | None = None
) -> Comparison:
    def chosen(run: runs.Run) -> dict[str, str]:
        return {test: what for test, what in run.outcomes.items() if only is None or test in only}

    return compare([chosen(run) for run in plain], [chosen(run) for run in switched])


def _keep(part: Part, outputs: dict[str, list[runs.Run]]) -> None:
    """Keep what the runs printed, for whoever looks for the cause."""
    folder = workshop.WORKSHOP / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for way, each in outputs.items():
        for number, run in enumerate(each):
            name = f"{part.suite}-{part.tests[0]}-{way}-{number}".replace("/", "-").replace(" ", "-")
            (folder / name).write_text(run.log)


def parts(python: Path, only: list[str], *, complete: bool) -> Iterator[Part]:
    """Yield what is to be run under one Python; *only* are parts of the names of suites and tests."""
    standard = workshop.stdlib_parts(python, complete=complete)
    if not standard:
        print(f"compare: {python} comes without the standard library's tests", file=sys.stderr)
    yield from (part for part in standard if not only or any(text in part.whole for text in only))
    for library in LIBRARIES:
        if not only or any(f"{library.name} {library.version}".startswith(text) for text in only):
            yield from workshop.library_parts(library, python, complete=complete)


def main(arguments: list[str] | None = None) -> int:
    """Compare, print a table, and say what differs; 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--complete", action="store_true", help="everything, plain twice: an hour or two")
    parser.add_argument("--python", action="append", type=Path, help="a Python to compare under")
    parser.add_argument(
        "--only", action="append", default=[], help="a library, or a test module of the standard library's"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many parts at a time")
    parser.add_argument(
        "--switch",
        choices=["install", "exact", "scoped", "run"],
        default="install",
        help="what is compared with plain: install(), the same with a policy, the same with networks and"
        " ports, or `keptalive run`",
    )
    given = parser.parse_args(arguments)
    if (problem := runs.possible()) is not None:
        return _refuse(f"cannot keep tests apart from the network here: {problem}", 3)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    pool = ThreadPoolExecutor(given.jobs)
    try:
        return _conclude(_rows(pool, given))
    except KeyboardInterrupt:
        return 130
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        runs.end_all()


def _rows(pool: ThreadPoolExecutor, given: argparse.Namespace) -> list[Row]:
    """Compare, and tell of each part when it is done."""
    rows: dict[tuple[str, str], Row] = {}
    started = time.monotonic()
    work = {}
    for python in given.python or [Path(sys.executable)]:
        version = workshop.version(python)
        for part in parts(python, given.only, complete=given.complete):
            row = rows.setdefault((part.suite, version), Row(part.suite, version))
            work[pool.submit(judge, part, twice=given.complete, switch=given.switch)] = part, row
    for future in as_completed(work):
        part, row = work[future]
        found, held = future.result()
        row.found.add(found)
        row.held += held
        _tell(part, row.python, found, time.monotonic() - started)
    return list(rows.values())


def _tell(part: Part, python: str, found: Comparison, seconds: float) -> None:
    """Say how a part came out."""
    words = f"{len(found.unsteady)} unsteady, {len(found.different)} different"
    if not (found.unsteady or found.different):
        words = "the same"
    head = f"{seconds:5.0f} s  {python} {part.suite} {part.tests[0]}"
    print(f"{head}: {found.count()} tests, {words}", flush=True)
    failing = {test: what for test, what in found.same.items() if what.startswith(("failure", "error"))}
    for what, tests in (
        ("fails either way", failing),
        ("unsteady", found.unsteady),
        ("DIFFERENT", found.different),
    ):
        for test, tallies in tests.items():
            print(f"         {what}: {test}: {tallies}", flush=True)


def _refuse(sentence: str, code: int) -> int:
    print(f"compare: {sentence}", file=sys.stderr)
    return code


def _conclude(rows: list[Row]) -> int:
    if not rows:
        return _refuse("there is nothing to compare; name a library, or a module as test_ssl", 2)
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.platform()}, {os.cpu_count()} cores\n")
    print(HEAD, *rows, sep="\n")
    if not all(row.held for row in rows):
        return _refuse("no connection was held in a suite, so that it proves nothing", 1)
    return int(any(row.found.different for row in rows))


if __name__ == "__main__":
    sys.exit(main())
