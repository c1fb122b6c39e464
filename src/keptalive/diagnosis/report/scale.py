"""Seconds on a line: where they are, and which of them are written below it.

Rule: pure numbers; what is drawn with them is the drawings' business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# What people count in: decimals below a second, then parts of minutes and of hours.
_STEPS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0),
    *(300.0, 600.0, 1200.0, 3600.0, 7200.0),
)


@dataclass(frozen=True)
class Scale:
    """From *first* to *last* seconds, drawn from *left* to *right*."""

    first: float
    last: float
    left: float
    right: float

    def at(self, seconds: float) -> float:
        """Return where a moment is; one outside is at the nearer end."""
        inside = min(max(seconds, self.first), self.last)
        return self.left + (inside - self.first) / (self.last - self.first) * (self.right - self.left)

    def ticks(self, most: int = 10) -> list[tuple[float, str]]:
        """Return (seconds, text) for at most so many round numbers."""
        step = _step((self.last - self.first) / most)
        count = math.floor((self.last - self.first) / step + 1e-9)
        start = math.ceil(self.first / step - 1e-9)
        return [
            (n * step, _label(n * step, step))
            for n in range(start, start + count + 1)
            if n * step <= self.last
        ]


def _step(least: float) -> float:
    longest = _STEPS[-1]
    return next((step for step in _STEPS if step >= least), math.ceil(least / longest) * longest)


def _label(seconds: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    return f"{seconds:.{digits}f} s"
