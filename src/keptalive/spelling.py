"""What somebody probably meant who wrote a word that there is not.

Rule: pure; difflib is imported by who has made a mistake, and by nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable


def similar(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like *word*; None if none is like it."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word.lower(), list(known), 1)), None)
