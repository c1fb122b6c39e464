"""What options that take a time make of their text.

Rule: one sentence for all verbs.
"""

from __future__ import annotations

import argparse


def seconds(text: str) -> float:
    """Read a number of seconds; an argument parser reports the error."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number of seconds, not {text!r}") from None
