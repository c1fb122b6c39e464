"""When the path may have been down, as those tell that must live.

Rule: pure; times in, times out. A connection that was idle for a moment only must answer. If one did not,
the path may have been down all the time from the answer before to the next one, whoever they came from, and
what was asked in between says nothing about the silence that was asked about.
"""

from __future__ import annotations

from typing import NamedTuple


class _Gap(NamedTuple):
    """Between two answers that followed each other."""

    begin: float
    end: float
    unheard: int  # questions to those that must live


class Darkness:
    """The gaps between answers, and who went unheard in them."""

    def __init__(self) -> None:
        self._gaps: list[_Gap] = []
        self.last_answer = float("-inf")  # when anybody answered last
        self._last = float("-inf")  # when that question had been asked
        self._unheard = 0

    def answered(self, asked: float, now: float) -> None:
        """Note that a question of some moment was answered now."""
        if self._unheard:
            self._gaps.append(_Gap(self._last, now, self._unheard))
            self._unheard = 0
        self._last, self.last_answer = asked, now

    def unheard(self) -> None:
        """Note that one that must live has not answered."""
        self._unheard += 1

    def hides(self, at: float, times: int) -> bool:
        """Tell whether somebody went unheard so many *times* in the gap around that moment."""
        return any(
            gap.begin <= at <= gap.end and gap.unheard >= times
            for gap in (*self._gaps, _Gap(self._last, float("inf"), self._unheard))
        )
