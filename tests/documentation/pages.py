"""What the documentation's pages hold: files to be saved, and commands with what they print.

Rule: pure text. A block of Python below "Save ... `NAME.py` ...:" is a file; in a console block, "$ " begins
a command, "# " one that needs root, and what follows is its output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"Save .*?`([\w-]+\.py)`.*:", re.DOTALL)


@dataclass(frozen=True)
class File:
    """A file that the reader saves."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command that the reader types, and the lines that the page shows below it."""

    line: str
    output: tuple[str, ...]


def steps(page: Path) -> list[File | Command]:
    """Return what a page's reader does, in order."""
    found: list[File | Command] = []
    text = page.read_text("utf-8")
    for block in _BLOCK.finditer(text):
        _, language, body = block.groups()
        paragraph = text[: block.start()].rstrip().rpartition("\n\n")[2]
        named = _FILE.search(paragraph)
        if language == "python" and named:
            found.append(File(named[1], body))
        elif language == "console":
            found += _commands(body)
    return found


def _commands(body: str) -> list[Command]:
    parts = re.split(r"^[$#] ", body, flags=re.MULTILINE)
    assert parts[0] == "", f"a console block begins with a command: {body}"
    return [Command(part.splitlines()[0], tuple(filter(None, part.splitlines()[1:]))) for part in parts[1:]]


def masked(text: str) -> list[str]:
    """Return the lines of an output without its numbers, widths and empty lines: what does not vary."""
    lines = []
    for line in text.splitlines():
        plain = re.sub(r"\s+", " ", re.sub(r"\d+(?:\.\d+)*", "0", line)).strip()
        if plain:
            lines.append(plain)
    return lines


def typed(page: Path) -> list[str]:
    """Return every line of a page's blocks on which keptalive is called, prompts and comments taken off."""
    lines = []
    for line in page.read_text("utf-8").splitlines():
        called = re.match(r"(?:    |[$#] )(keptalive \w.*)", line)
        if called:
            lines.append(called[1])
    return lines
