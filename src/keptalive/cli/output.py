"""What every verb prints with: the same rows as a table for people or JSON for programs.

Rule: nothing that came from the network or another process reaches a terminal
unescaped. Results go to stdout, progress and complaints to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from keptalive.errors import KeptaliveError
from keptalive.escaping import escape

__all__ = [
    "SCHEMA",
    "columns",
    "complain",
    "escape",
    "limit",
    "print_json",
    "room",
    "sentence",
    "table",
    "wrapped",
]

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost 5 ms
if TYPE_CHECKING:
    from typing import Any, TextIO

SCHEMA = 1


def print_json(value: dict[str, Any], stream: TextIO | None = None) -> None:
    """Print one JSON object, with the schema's number first."""
    import json

    print(json.dumps({"schema": SCHEMA, **value}, indent=2), file=stream or sys.stdout)


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """Return rows in aligned columns under *header*, escaped; None is written "-".

    right: the columns (by number) that are aligned to the right.
    """
    cells = [[("-" if cell is None else escape(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        line = "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def columns(stream: TextIO) -> int:
    """Return the width of the terminal that *stream* is, 80 if it is none."""
    try:
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(stream.fileno()).columns
    except (ValueError, OSError):
        return 80


def wrapped(line: str) -> str:
    """Return a line of text broken between words where stdout has a width: others take it as it is."""
    width = limit(sys.stdout)
    if width is None or len(line) <= width:
        return line
    import textwrap

    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def limit(stream: TextIO) -> int | None:
    """Return how wide a text may be: the terminal, or COLUMNS without one; None where nothing limits it."""
    return columns(stream) if stream.isatty() or "COLUMNS" in os.environ else None


def room(stream: TextIO) -> int | None:
    """Return how many columns a table may have: the terminal's; None for a file, whose rows stay whole."""
    return columns(stream) if stream.isatty() else None


def complain(error: KeptaliveError, *, as_json: bool) -> None:
    """Say what happened and what to do: a line on stderr, or an object on stdout for programs."""
    if as_json:
        print_json({"error": sentence(error), "hint": error.hint})
        return
    print(f"keptalive: {escape(sentence(error))}", file=sys.stderr)
    if error.hint:
        print(f"  {escape(error.hint)}", file=sys.stderr)


def sentence(error: KeptaliveError) -> str:
    """Return what happened, without the number of an OSError."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
