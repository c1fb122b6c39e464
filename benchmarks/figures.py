"""What is to be reached, what was measured, and the command line that all benchmarks share.

Rule: a benchmark declares its rows before it measures, so that one whose peer is missing, or which failed,
still stands in the table and says why. Measured is a value of each round; told are their median and the
middle half of the rounds. A row without a limit is told, not judged.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

NOT_REACHED = "**no**"
HEAD = ("what", "against", "to reach", "measured", "half of the rounds", "reached")


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    what: str
    against: str
    limit: float | None = None
    unit: str = "x"
    at_least: bool = False  # the limit is a floor, not a ceiling
    digits: int = 3
    values: tuple[float, ...] = ()
    noise: float = 0.0  # by how much the plain one differs from itself, which a limit cannot be judged below
    missing: str = ""  # why there are no values

    def measured(self, values: Iterable[float], noise: float = 0.0) -> Figure:
        """Return the row with a value of each round."""
        return replace(self, values=tuple(values), noise=noise)

    def without(self, why: str) -> Figure:
        """Return the row with the reason why it could not be measured."""
        return replace(self, missing=why)

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """Whether the limit is kept: yes, no, or nearer to it than the noise; empty if it is not judged."""
        if not self.values:
            return "not measured"
        if self.limit is None:
            return ""
        beyond = (self.limit - self.median) * (1 if self.at_least else -1)
        if beyond <= 0:
            return "yes"
        return f"within the noise of {self.noise:.{self.digits}f}" if beyond <= self.noise else NOT_REACHED

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells."""
        bound = "at least" if self.at_least else "at most"
        limit = "" if self.limit is None else f"{bound} {self.limit:g} {self.unit}"
        if not self.values:
            return self.what, self.against, limit, self.missing, "", self.verdict
        found = f"{self.median:.{self.digits}f} {self.unit}"
        return self.what, self.against, limit, found, self._half(), self.verdict

    def _half(self) -> str:
        if len(self.values) == 1:
            return "one run"
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return f"{low:.{self.digits}f} to {high:.{self.digits}f}"


@dataclass(frozen=True)
class Findings:
    """What a benchmark found: its rows, and the details as Markdown."""

    figures: list[Figure]
    details: list[str]

    def save(self, file: Path) -> None:
        """Write it for `load`."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, file: Path) -> Findings:
        """Return what was saved."""
        found = json.loads(file.read_text())
        return cls(
            [Figure(**{**row, "values": tuple(row["values"])}) for row in found["figures"]], found["details"]
        )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, its columns aligned for who reads it as it is."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"

    return "\n".join([row(lines[0]), row(["-" * width for width in widths]), *map(row, lines[1:])])


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark: `--quick`, and `--json` for the command that runs them all."""
    made = argparse.ArgumentParser(description=str(doc).partition("\n")[0])
    made.add_argument("--quick", action="store_true", help="few short rounds, to see that it works")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the rows and details there")
    return made


def tell(rows: Iterable[Figure], measure: Callable[[], Findings], arguments: argparse.Namespace) -> int:
    """Measure, then print or save what was found; 1 if something was not reached."""
    try:
        found = measure()
    except Exception as error:
        if arguments.json is None:
            raise
        traceback.print_exc()
        found = Findings([row.without(f"failed: {type(error).__name__}") for row in rows], [])
    if arguments.json is not None:
        found.save(arguments.json)
        return 0
    for detail in found.details:
        print(f"{detail}\n")
    if found.figures:
        print(table(HEAD, (figure.cells() for figure in found.figures)))
    return int(not arguments.quick and any(figure.verdict == NOT_REACHED for figure in found.figures))


def progress(text: str) -> None:
    """Say something on stderr."""
    print(text, file=sys.stderr, flush=True)
