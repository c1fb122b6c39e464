"""Attributes of classes and modules, replaced for a while and put back exactly.

Rule: what was not in the class's own dict is deleted again, not set to what it
inherited. What somebody else wrapped in the meantime stays: our wrapper below
theirs lets everything through then.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_ABSENT: Any = object()


class Attributes:
    """The attributes replaced so far, in order."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any, Any]] = []  # owner, name, what its dict held, ours

    def wrap(self, owner: Any, name: str, around: Callable[[Any], Any]) -> None:
        """Put `around(original)` in the place of `owner.name`, unless that was done already.

        Raises AttributeError if there is no such attribute, TypeError if the owner cannot be changed.
        """
        before = vars(owner).get(name, _ABSENT)
        if any(before is ours for *_, ours in self._replaced):
            return
        ours = around(getattr(owner, name))
        setattr(owner, name, ours)
        self._replaced.append((owner, name, before, ours))

    def restore(self) -> None:
        """Put everything back, last first."""
        while self._replaced:
            owner, name, before, ours = self._replaced.pop()
            if vars(owner).get(name) is not ours:
                continue
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def looks_like(original: Any, owner: Any) -> Callable[[Any], Any]:
    """Return a decorator that gives a wrapper the name, the documentation and the home of *original*."""

    def dress(wrapper: Any) -> Any:
        functools.update_wrapper(wrapper, original)
        wrapper.__module__ = owner.__module__  # so that `socket.socket.connect` pickles by name as before
        return wrapper

    return dress
