"""The exit codes and what they mean, from the enum and its comments."""

from __future__ import annotations

import inspect
import re

from keptalive.cli.exits import Exit


def exit_codes() -> list[tuple[int, str]]:
    """Return each code with its meaning."""
    source = inspect.getsource(Exit)
    return [(int(code), _meaning(source, code.name)) for code in Exit]


def _meaning(source: str, name: str) -> str:
    found = re.search(rf"^    {name} = \d+  # (.*)$", source, re.MULTILINE)
    if found is None:
        raise SystemExit(f"exits.py: {name} has no comment that says what it means")
    return found[1]
