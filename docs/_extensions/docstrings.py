"""Docstrings as the house writes them, told to Sphinx: "name: what it is" defines a parameter or a field.

Rule: a block of lines "name: text" (with what is indented below) whose first name is a parameter, or a
field of the class, becomes a definition. Everything else stays as it is written.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from typing import Any

_ENTRY = re.compile(r"(\w+(?:, \w+)*): (\S.*)")


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}


def _process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_definitions(lines, _names(thing))


def _names(thing: Any) -> set[str]:
    """Return what a docstring's entries may be about."""
    if is_dataclass(thing):
        return {field.name for field in fields(thing)}
    try:
        return set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return set()


def as_definitions(lines: list[str], names: set[str]) -> list[str]:
    """Return a docstring's lines with entries "name: text" as reStructuredText's definitions."""
    written: list[str] = []
    inside = False
    for line in lines:
        entry = _ENTRY.fullmatch(line)
        if entry and names.issuperset(entry[1].split(", ")):
            if written and written[-1]:
                written.append("")
            written += [f"``{entry[1]}``", f"    {entry[2]}"]
            inside = True
        elif inside and line and not line.startswith(" "):
            written += ["", line]
            inside = False
        else:
            written.append(line)
    return written
