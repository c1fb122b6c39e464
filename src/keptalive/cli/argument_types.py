"""What several verbs read from the command line, each with a sentence for what it cannot be.

Rule: argparse puts the name of the argument before the sentence.
"""

from __future__ import annotations

import argparse


def process_number(text: str) -> int:
    """Read a process's number; whether there is such a process is asked later."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a process number, not {text!r}" + (f": pidof {text} finds it" if _is_a_name(text) else "")
        ) from None


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a whole number, not {text!r}") from None


def number(text: str, what: str = "a number") -> float:
    """Read a number; *what* says of what, where it is wrong."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{what}, not {text!r}") from None


def seconds(text: str) -> float:
    """Read a time."""
    return number(text, "a number of seconds")


def pause(text: str) -> float:
    """Read how often to look."""
    if text.startswith(":"):
        raise argparse.ArgumentTypeError(f"a number of seconds, not {text!r}: is --remote {text} meant?")
    often = seconds(text)
    if not 0.1 <= often <= 86400:  # more often would be a load of its own
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 86400 seconds")
    return often


def _is_a_name(text: str) -> bool:
    return text.replace("-", "").replace("_", "").replace(".", "").isalnum()
