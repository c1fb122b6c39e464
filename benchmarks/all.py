"""Run all benchmarks, one after another, and write to RESULTS.md what they found: figures, then details.

    python benchmarks/all.py [--quick] [--output FILE] [PART ...]      (or ./dev bench)

As root, on a machine that does nothing else, it takes about 20 minutes. Each part is a command of its own as
well. With --quick, in a minute, the figures mean nothing: it shows that all of them come to be; it prints.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from figures import HEAD, NOT_REACHED, Figure, Findings, progress, table
from peers import absent, load, machine, version

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Part:
    """A benchmark, as this command runs it."""

    file: str
    title: str
    minutes: float  # on two cores
    arguments: tuple[str, ...] = ()  # in a run at full length


PARTS = (
    Part("import_cost", "Starting", 0.2),
    Part("connect", "A connect under install()", 0.5),
    Part("clients", "Requests per second of held clients", 6.0),
    Part("ps", "ps", 1.5),
    Part("probe", "probe", 1.5),
    Part("waiting", "Ten thousand requests that wait", 4.0),
    Part("relay", "The lab's relay", 3.5),
    Part("run", "run", 2.0),
    Part("diagnose", "diagnose", 3.0, ("--runs", "2")),
)
PEERS = (
    *("ss", "netstat", "lsof", "libkeepalive", "haproxy", "nginx", "squid", "nft", "strace"),
    *("psutil", "pyroute2", "requests", "requests-toolbelt", "urllib3", "httpx", "httpx2", "aiohttp"),
    *("pycurl", "openai", "tornado"),
)

READING = """\
Rivals take turns in many short rounds. Measured is the median of the rounds' ratios (or differences), beside
it the middle half of them. Each benchmark sees first that what it times is right: the policy on the live
socket, the same connections listed, the bytes unchanged. A row without "to reach" stands there to compare.
"""


@dataclass(frozen=True)
class Done:
    """What a part found, the load average before it, and how long it took."""

    part: Part
    findings: Findings
    load: str
    seconds: float


def run(part: Part, quick: bool) -> Done:
    """Run a part in a process of its own."""
    before, started = load(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        options = ("--quick",) if quick else part.arguments
        command = [sys.executable, str(HERE / f"{part.file}.py"), *options, "--json", str(file)]
        ended = wait_for(command, 60 * (5 + 5 * part.minutes))
        if file.exists():
            findings = Findings.load(file)
        else:
            findings = Findings([Figure(part.title, "", missing=ended)], [])
    return Done(part, findings, before, time.monotonic() - started)


def wait_for(command: list[str], seconds: float) -> str:
    """Run a command, for so long at the most, with all that it starts; return how it ended."""
    with subprocess.Popen(command, stdout=sys.stderr, start_new_session=True) as process:
        try:
            return f"ended with exit code {process.wait(seconds)}"
        except subprocess.TimeoutExpired:
            return f"was stopped after {seconds / 60:.0f} minutes"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def written(parts: Iterable[Done], began: datetime, quick: bool) -> str:
    """Return the results as Markdown."""
    done = list(parts)
    minutes = sum(one.seconds for one in done) / 60
    figures = [figure for one in done for figure in one.findings.figures]
    lines = [
        "# Results",
        "",
        f"`python benchmarks/all.py`, {began:%Y-%m-%d}, {minutes:.0f} minutes.",
        "",
        *(
            ("**A quick run: it shows that the benchmarks run. The figures mean nothing.**", "")
            if quick
            else ()
        ),
        f"- Machine: {machine()}.",
        f"- keptalive {version('keptalive')}; {', '.join(peers())}.",
        "- Load average before each part: "
        + ", ".join(f"{one.part.file} {one.load}" for one in done)
        + "; what the parts do themselves is in it.",
        "",
        READING,
        table(HEAD, (figure.cells() for figure in figures)),
    ]
    for one in done:
        seconds = f"`benchmarks/{one.part.file}.py`, {one.seconds:.0f} s."
        lines += [
            "",
            f"## {one.part.title}",
            "",
            seconds,
            *(f"\n{detail}" for detail in one.findings.details),
        ]
    return "\n".join(lines) + "\n"


def peers() -> list[str]:
    """Return each peer with its version."""
    return [f"{name} {version(name) or '(not installed)'}" for name in PEERS]


def main() -> int:
    """Run all; 1 if a figure was not reached or not measured."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(part.file for part in PARTS))
    parser.add_argument("--quick", action="store_true", help="few short rounds, to see that it works")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="default: RESULTS.md; of a quick run or a part, print"
    )
    arguments = parser.parse_args()
    known = [part.file for part in PARTS]
    if unknown := set(arguments.parts) - set(known):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: known are {', '.join(known)}")
    chosen = [part for part in PARTS if part.file in (arguments.parts or [part.file])]
    for missing in filter(None, map(absent, PEERS)):
        progress(f"{missing}: some rows stay empty")
    if not arguments.quick:
        progress(f"about {sum(part.minutes for part in chosen):.0f} minutes; load average {load()}")
    began, done = datetime.now(timezone.utc), []
    for number, part in enumerate(chosen, 1):
        progress(f"[{number}/{len(chosen)}] {part.file}")
        done.append(run(part, arguments.quick))
        verdicts = [figure.verdict for figure in done[-1].findings.figures]
        missed = sum(verdict in (NOT_REACHED, "not measured") for verdict in verdicts)
        progress(f"      {done[-1].seconds:.0f} s; {missed} of {len(verdicts)} figures not reached")
    text = written(done, began, arguments.quick)
    if arguments.output is None and (arguments.quick or arguments.parts):
        print(text, end="")
    else:
        file = arguments.output or HERE / "RESULTS.md"
        file.write_text(text)
        progress(f"written: {file.name}")
    bad = (NOT_REACHED, "not measured")
    verdicts = [figure.verdict for one in done for figure in one.findings.figures]
    return int(not arguments.quick and any(verdict in bad for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
