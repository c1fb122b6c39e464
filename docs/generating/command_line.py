"""The parts of the command line's page that come from the code: synopses, options, exit codes.

Rule: the page is written by hand but for what stands between `<!-- NAME: generated -->` and `<!-- /NAME -->`,
right below the heading. A verb without a section gets one at the end.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from generating.exits import exit_codes
from generating.grammar import Argument, Command, commands
from keptalive.cli.main import VERBS

_PAGE = Path(__file__).parent.parent / "reference" / "command-line.md"


def command_line() -> str:
    """Return the page with these parts as they are now."""
    text = _PAGE.read_text("utf-8")
    text = _placed(text, "exit codes", "## Exit codes", _exits())
    for verb in VERBS:
        these = [one for one in commands() if one.name.split()[0] == verb]
        text = _placed(text, verb, f"## `keptalive {verb}`", "\n\n".join(map(_options, these)))
    return text


def _placed(text: str, name: str, heading: str, part: str) -> str:
    """Return the page with one part, in its place below the heading."""
    first, last = f"<!-- {name}: generated -->", f"<!-- /{name} -->"
    if f"\n{heading}\n" not in text:
        text += f"\n{heading}\n"
    bare = re.sub(f"{re.escape(first)}.*?{re.escape(last)}\n*", "", text, flags=re.DOTALL).rstrip("\n")
    before, found, after = f"{bare}\n".partition(f"\n{heading}\n")
    return f"{before}{found}\n{first}\n\n{part}\n\n{last}\n\n{after.strip(chr(10))}".rstrip("\n") + "\n"


def _exits() -> str:
    rows = [f"| {code} | {meaning} |" for code, meaning in exit_codes()]
    return "\n".join(["| code | means |", "|---|---|", *rows])


def _options(command: Command) -> str:
    lines = ["```text", *_wrapped(command), "```"]
    rows = [_row(one) for one in (*command.positionals, *command.options) if "--help" not in one.flags]
    if rows:
        lines += ["", "| | |", "|---|---|", *rows]
    return "\n".join(lines)


def _row(one: Argument) -> str:
    value = f"[{one.value}]" if one.optional and one.flags else one.value
    names = [f"`{flag} {value}`".replace(" `", "`") for flag in one.flags] or [f"`{one.value}`"]
    return f"| {', '.join(names)} | {one.help} |".replace("\\|", "|")


def _wrapped(command: Command) -> list[str]:
    """Return the synopsis in lines that fit a page, no option torn from its value."""
    space = "\N{NO-BREAK SPACE}"
    whole = re.sub(
        r"\[[^\[\]]*(?:\[[^\]]*\][^\[\]]*)*\]", lambda found: found[0].replace(" ", space), command.usage
    )
    indent = " " * len(f"keptalive {command.name} ")
    lines = textwrap.wrap(whole, 92, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return [line.replace(space, " ") for line in lines]
