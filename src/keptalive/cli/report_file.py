"""`--report FILE`, for the verbs that measure: a page to hand to whoever runs the network.

Rule: a file that cannot be written is told before anything is measured; what a file held stays until its new
page is complete in memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keptalive.cli.output import escape
from keptalive.errors import BadInput
from keptalive.output_file import refuse_unwritable


def add_report_option(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="write a page to hand to whoever runs the network: HTML, one file, nothing from elsewhere",
    )


@contextmanager
def report_to(name: str | None) -> Iterator[Callable[[str], None] | None]:
    """Yield what writes a page to the file *name*, or None if there is none. Raises BadInput."""
    if name is None:
        yield None
        return
    refuse_unwritable(name, "the report")
    path, written = Path(name), False
    was_there = path.exists()
    with _as_bad_input(name), path.open("ab"):
        pass  # may be written: that is all

    def write(page: str) -> None:
        nonlocal written
        with _as_bad_input(name):
            path.write_text(page, "utf-8")
        written = True
        print(f"keptalive: the report is in {escape(name)}", file=sys.stderr)

    try:
        yield write
    finally:
        if not was_there and not written:
            path.unlink(missing_ok=True)


@contextmanager
def _as_bad_input(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"the report cannot be written to {name}: {error.strerror}") from error
