"""`keptalive lab faults`: what can go wrong, and which engines can do it."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from keptalive.cli.exits import Exit
from keptalive.cli.output import columns, print_json, table
from keptalive.lab.faults import FAULTS

_NARROWEST = 20  # characters of a column: below that, long lines are easier to read


def add_parser(verbs: Any) -> None:
    """Declare this verb."""
    parser = verbs.add_parser(
        "faults", help="list the faults", description="List the faults.", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """List the faults."""
    rows = [
        {"fault": fault.syntax, "engines": list(fault.engines), "does": _idea(fault)}
        for fault in FAULTS.values()
    ]
    if args.json:
        print_json({"faults": rows})
    else:
        cells = [(fault.syntax, ", ".join(fault.engines), _idea(fault)) for fault in FAULTS.values()]
        print(table(("fault", "engines", "does"), _fitted(cells)))
    return Exit.OK


def _fitted(cells: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return the rows with what does not fit a terminal's line in rows below; others take all as it is."""
    if not sys.stdout.isatty():
        return cells
    import textwrap

    taken = sum(max(len(row[column]) for row in cells) + 2 for column in (0, 1))
    room = max(_NARROWEST, columns(sys.stdout) - taken)
    return [
        (fault, engines, line) if number == 0 else ("", "", line)
        for fault, engines, does in cells
        for number, line in enumerate(textwrap.wrap(does, room, break_on_hyphens=False))
    ]


def _idea(fault: type) -> str:
    """Return what a fault does, as its file says; its parameters in capitals, as in the syntax."""
    first = (fault.__doc__ or "").strip().partition("\n")[0]
    return re.sub(r"\*(\w+)\*", lambda name: name[1].upper(), first)
