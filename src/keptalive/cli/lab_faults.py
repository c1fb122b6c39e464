"""`keptalive lab faults`: what can go wrong, and which engines can do it."""

from __future__ import annotations

import argparse
import re
from typing import Any

from keptalive.cli.exits import Exit
from keptalive.cli.output import print_json, table
from keptalive.lab.faults import FAULTS


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
        cells = [(row["fault"], ", ".join(row["engines"]), row["does"]) for row in rows]
        print(table(("fault", "engines", "does"), cells))
    return Exit.OK


def _idea(fault: type) -> str:
    """Return what a fault does, as its file says; its parameters in capitals, as in the syntax."""
    first = (fault.__doc__ or "").strip().partition("\n")[0]
    return re.sub(r"\*(\w+)\*", lambda name: name[1].upper(), first)
