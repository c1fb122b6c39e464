"""`keptalive ps --watch`: look again and again, and show what changes.

Rule: a connection is the same one as long as its two ends are, and has changed when
anything but its countdown has. What is new is marked +, what has changed ~, and what is
gone - for one look. On a terminal, with rich, the table stays in its place; elsewhere it
is printed anew. As JSON, each look is one document on one line.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from itertools import chain
from typing import Any, NoReturn

from keptalive.cli.ps import Count, document
from keptalive.cli.ps_rows import Rows, Text, folded, folds
from keptalive.linux.sock_diag import Record
from keptalive.survey import Survey

_STYLES = {"+": "green", "~": "yellow", "-": "red"}


def watch(look: Callable[[], Survey], args: argparse.Namespace) -> NoReturn:
    """Look every `args.watch` seconds until Ctrl-C."""
    with _output(args) as show:
        while True:
            show(look())
            time.sleep(args.watch)


def _output(args: argparse.Namespace) -> AbstractContextManager[Callable[[Survey], None]]:
    """Return what shows one look after the other: JSON lines, a live table, or plain text."""
    if args.json:
        return nullcontext(lambda found: _print_json(found, args))
    changes = Changes(args)
    if sys.stdout.isatty() and find_spec("rich"):
        return _Live(changes)
    return nullcontext(lambda found: print(*changes.lines(found), "", sep="\n", flush=True))


def _print_json(found: Survey, args: argparse.Namespace) -> None:
    print("".join(document(found, args, Count())).replace("\n", ""), flush=True)


class Changes:
    """Turns one look after the other into lines, each after a mark that says what has changed."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._owners, self._exact = not args.no_owner, args.exact
        self._before: dict[tuple[object, ...], tuple[object, str]] | None = None  # identity -> facts, line

    def lines(self, found: Survey) -> list[str]:
        """Return header, connections by owner and remote end, those that are gone, and the sums."""
        rows = self._sorted(found)
        style = Text(found, owners=self._owners, exact=self._exact)
        table = Rows(found, style)
        counts = Count()
        counts.add(found, rows)
        before = self._before
        self._before = {}
        lines = [f"  {style.header()}"]
        for row, line in zip(rows, table.lines(rows), strict=True):
            identity, facts = row[:2] + row[3:5], table.spelled(row[2])
            had = None if before is None else before.pop(identity, ("", ""))[0]
            lines.append(f"{' ' if had in (None, facts) else '~' if had else '+'} {line}")
            self._before[identity] = facts, line
        lines += [f"- {line}" for _, line in (before or {}).values()]
        return [*lines, "", counts.text()]

    def _sorted(self, found: Survey) -> list[Record]:
        rows = list(chain.from_iterable(found.batches))
        owners = {row[-1]: pid for pid, row in zip(found.owners(rows), rows, strict=True)}
        named = {
            pid: (pid is None, "" if pid is None else found.names[pid], pid or 0)
            for pid in set(owners.values())
        }
        return sorted(rows, key=lambda row: (named[owners[row[-1]]], row[4], row[1], row[3], row[0]))


class _Live:
    """The terminal, taken over by rich: as many lines as fit, coloured by their marks."""

    def __init__(self, changes: Changes) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text as Line

        self._changes = changes
        self._last = Line()
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Callable[[Survey], None]:
        self._live.__enter__()
        return self._show

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)
        self._console.print(self._last)  # where it stays, unlike on the screen that has just been left

    def _show(self, found: Survey) -> None:
        from rich.text import Text as Line

        header, *rows, empty, counts = self._changes.lines(found)
        at = folds(header, rows, self._console.width)
        room = max(1, (self._console.height - 4) // (1 + len(at)))
        if len(rows) > room:
            # What changes is to be seen, wherever it stands.
            rows.sort(key=lambda line: line.startswith("  "))
            empty = f"  ... and {len(rows) - room} more"
        lines = [Line(folded(line, at), _STYLES.get(line[0], "")) for line in rows[:room]]
        screen = Line("\n").join([Line(folded(header, at), "bold"), *lines, Line(empty), Line(counts)])
        screen.no_wrap = True
        self._last = screen
        self._live.update(screen, refresh=True)
