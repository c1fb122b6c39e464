"""`keptalive lab faults`: what can go wrong, or does in known middleboxes, and which engines can do it."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from keptalive.cli.exits import Exit
from keptalive.cli.output import columns, print_json, table
from keptalive.lab.faults import FAULTS, parse
from keptalive.presets import PRESETS

_NARROWEST = 20  # characters of a column: below that, long lines are easier to read


def add_parser(verbs: Any) -> None:
    """Declare this verb."""
    parser = verbs.add_parser(
        "faults",
        help="list the faults and the presets",
        description="List the faults, and the presets that stand for one.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """List the faults and the presets."""
    faults = [
        {"fault": fault.syntax, "engines": list(fault.engines), "does": _idea(fault)}
        for fault in FAULTS.values()
    ]
    presets = [
        {
            "preset": preset.name,
            "fault": str(parse(preset.name)),
            "engines": list(parse(preset.name).engines),
            "title": preset.title,
        }
        for preset in PRESETS
    ]
    if args.json:
        print_json({"faults": faults, "presets": presets})
    else:
        _print_table(("fault", "engines", "does"), faults)
        print()
        _print_table(("preset", "fault", "title"), presets)
    return Exit.OK


def _print_table(header: tuple[str, str, str], rows: list[dict[str, Any]]) -> None:
    """Print these columns, a list with commas."""
    cells = [[", ".join(row[key]) if key == "engines" else row[key] for key in header] for row in rows]
    print(table(header, _fitted(cells)))


def _fitted(cells: list[list[str]]) -> list[list[str]]:
    """Return the rows with what does not fit a terminal's line in rows below; others take all as it is."""
    if not sys.stdout.isatty():
        return cells
    import textwrap

    taken = sum(max(len(row[column]) for row in cells) + 2 for column in (0, 1))
    room = max(_NARROWEST, columns(sys.stdout) - taken)
    return [
        [name, second, line] if number == 0 else ["", "", line]
        for name, second, text in cells
        for number, line in enumerate(textwrap.wrap(text, room, break_on_hyphens=False))
    ]


def _idea(fault: type) -> str:
    """Return what a fault does, as its file says; its parameters in capitals, as in the syntax."""
    first = (fault.__doc__ or "").strip().partition("\n")[0]
    return re.sub(r"\*(\w+)\*", lambda name: name[1].upper(), first)
