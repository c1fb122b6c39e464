"""`keptalive ps`: the connections of this machine, their owners, their timers, and which are protected."""

from __future__ import annotations

import argparse
import gc
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from operator import itemgetter

from keptalive.cli.argument_types import pause, process_number
from keptalive.cli.exits import Exit
from keptalive.cli.output import SCHEMA, escape, room
from keptalive.cli.ps_rows import Json, Rows, Text, folded, folds, quoted
from keptalive.survey import Survey, survey

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost
if TYPE_CHECKING:
    from keptalive.cli.ps_rows import Style
    from keptalive.linux.sock_diag import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    only = parser.add_argument_group("which connections")
    only.add_argument(
        "-p",
        "--pid",
        type=process_number,
        action="append",
        metavar="PID",
        help="of this process (may be repeated)",
    )
    only.add_argument("--process", metavar="NAME", help="of processes of this name; * and ? as in the shell")
    only.add_argument("--remote", metavar="HOST[:PORT]", help="to this host, this port (:PORT), or both")
    only.add_argument(
        "--unprotected", action="store_true", help="known to be unprotected; exit code 1 if there is one"
    )
    only.add_argument(
        "--no-loopback", action="store_true", help="not those within this machine, where nothing is forgotten"
    )
    only.add_argument(
        "-a", "--all", action="store_true", help="listeners, half open ones and those in TIME-WAIT, too"
    )
    only.add_argument(
        "--netns", type=process_number, metavar="PID", help="in the network namespace of this process"
    )
    how = parser.add_argument_group("what is shown")
    how.add_argument(
        "--exact",
        action="store_true",
        help="idle, interval, count and user timeout, asked of the sockets where that is permitted",
    )
    how.add_argument("--no-owner", action="store_true", help="do not search /proc for the owners: faster")
    how.add_argument(
        "--watch",
        type=pause,
        nargs="?",
        const=1.0,
        metavar="SECONDS",
        help="look again every second, or as often as said, and show what changes",
    )
    how.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> Exit:
    """Look, and print."""
    look = partial(
        survey,
        pid=args.pid,
        process=args.process,
        remote=args.remote,
        unprotected=args.unprotected,
        exact=args.exact,
        owners=not args.no_owner,
        netns_pid=args.netns,
        everything=args.all,
        loopback=not args.no_loopback,
    )
    if args.watch is not None:
        from keptalive.cli.ps_watch import watch

        return watch(look, args)
    gc.disable()  # nothing here forms circles, and looking for some takes a tenth of the time
    counts = Count()
    for text in document(look(), args, counts):
        sys.stdout.write(text)
    return Exit.PROBLEM if args.unprotected and counts.unprotected else Exit.OK


def document(found: Survey, args: argparse.Namespace, counts: Count) -> Iterator[str]:
    """Yield what is printed of a survey, batch by batch, and count it."""
    style: Style
    if args.json:
        style, separator = Json(found), ",\n"
        yield f'{{"schema": {SCHEMA}, "connections": ['
        before = "\n"
    else:
        style, separator = Text(found, owners=not args.no_owner, exact=args.exact), "\n"
        before = f"{style.header()}\n"
        if sys.stdout.isatty():
            yield _for_a_terminal(found, style, counts)
            return
    table = Rows(found, style)
    for batch in filter(None, found.batches):
        counts.add(found, batch)
        yield before + separator.join(table.lines(batch))
        before = separator
    if args.json:
        yield f'\n], "summary": {counts.json()}}}\n'
    else:
        yield ("\n\n" if counts.connections else "") + f"{counts.text()}\n"


def _for_a_terminal(found: Survey, style: Text, counts: Count) -> str:
    """Return the same at once, folded if the terminal is narrower than the table."""
    table, lines = Rows(found, style), []
    for batch in filter(None, found.batches):
        counts.add(found, batch)
        lines += table.lines(batch)
    if not lines:
        return f"{counts.text()}\n"
    rows = [style.header(), *lines]
    at = folds(rows[0], lines, room(sys.stdout))
    return "\n".join([*(folded(row, at) for row in rows), "", counts.text()]) + "\n"


class Count:
    """How many connections of which kind were printed, and whose are the unprotected ones."""

    def __init__(self) -> None:
        self.connections = self.protected = self.unprotected = self.unknown = 0
        self.unprotected_by: Counter[str] = Counter()
        self.owner_hidden = 0

    def add(self, found: Survey, batch: list[Record]) -> None:
        """Count a batch."""
        self.connections += len(batch)
        bad = set()
        for key, number in Counter(map(itemgetter(2), batch)).items():
            protected = found.facts[key].protected
            if protected is None:
                self.unknown += number
            elif protected:
                self.protected += number
            else:
                self.unprotected += number
                bad.add(key)
        if found.holders:
            owners = [pid for pid, row in zip(found.owners(batch), batch, strict=True) if row[2] in bad]
            self.unprotected_by.update(found.names[pid] for pid in owners if pid is not None)
        if found.hidden:
            self.owner_hidden += sum(1 for row in batch if row[-1] and row[-1] not in found.holders)

    def text(self) -> str:
        """Return the line below the table."""
        whose = ", ".join(f"{escape(name)} {number}" for name, number in self.unprotected_by.most_common())
        parts = [
            f"{self.protected} protected",
            f"{self.unprotected} unprotected" + (f" ({whose})" if whose else ""),
            *([f"{self.unknown} unknown"] if self.unknown else []),
        ]
        text = f"{self.connections} connection{'s' * (self.connections != 1)}: {', '.join(parts)}"
        if self.owner_hidden:
            text += f"\nThe process of {self.owner_hidden} (marked ?) is hidden from this user; root sees it."
        return text

    def json(self) -> str:
        """Return the same as a JSON object."""
        by = ", ".join(f"{quoted(name)}: {number}" for name, number in self.unprotected_by.most_common())
        numbers = ("connections", "protected", "unprotected", "unknown", "owner_hidden")
        plain = ", ".join(f'"{name}": {getattr(self, name)}' for name in numbers)
        return f'{{{plain}, "unprotected_by": {{{by}}}}}'
