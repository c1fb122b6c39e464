"""The other program's command line that some verbs end with.

Rule: what follows the first "--", or else the first word that is no option, is passed on untouched.
"""

from __future__ import annotations

import argparse

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost 5 ms
if TYPE_CHECKING:
    from typing import Any


def add_command(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare the argument `command`, a list; *what* is its help."""
    parser.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER, action=_Program, help=what)


class _Program(argparse.Action):
    """Takes all that remains as it is, but for the "--" in front."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        """Store the command; an empty one is an error."""
        command = values[1:] if values[:1] == ["--"] else values
        if not command:
            parser.error(f"say what to run: {parser.prog} -- CMD [ARG ...]")
        setattr(namespace, self.dest, command)
