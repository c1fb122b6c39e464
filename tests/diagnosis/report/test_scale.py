"""Scale: round numbers below a line of seconds, however long it is."""

from __future__ import annotations

import pytest

from keptalive.diagnosis.report.scale import Scale


@pytest.mark.parametrize(
    ("first", "last", "most", "expected"),
    [
        (0, 5.24, 10, ["0 s", "1 s", "2 s", "3 s", "4 s", "5 s"]),
        (0, 15.6, 10, ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s", "12 s", "14 s"]),
        (0, 250, 10, ["0 s", "30 s", "60 s", "90 s", "120 s", "150 s", "180 s", "210 s", "240 s"]),
        (0, 750, 10, ["0 s", "120 s", "240 s", "360 s", "480 s", "600 s", "720 s"]),
        (4.84, 5.18, 8, ["4.85 s", "4.90 s", "4.95 s", "5.00 s", "5.05 s", "5.10 s", "5.15 s"]),
        (
            0,
            0.4,
            10,
            ["0.00 s", "0.05 s", "0.10 s", "0.15 s", "0.20 s", "0.25 s", "0.30 s", "0.35 s", "0.40 s"],
        ),
    ],
)
def test_ticks(first: float, last: float, most: int, expected: list[str]) -> None:
    """Few, round, and all of them on the line."""
    ticks = Scale(first, last, 0, 100).ticks(most)

    assert [text for _, text in ticks] == expected
    assert all(first <= seconds <= last for seconds, _ in ticks)


@pytest.mark.parametrize("last", [0.01, 0.3, 1, 7, 59, 600, 7000, 90000, 1e6])
def test_never_too_many(last: float) -> None:
    """At most one more than asked for, at any length."""
    assert 1 <= len(Scale(0, last, 0, 100).ticks(10)) <= 11


def test_outside_is_at_the_end() -> None:
    """Nothing leaves the picture."""
    scale = Scale(10, 20, 100, 200)

    assert [scale.at(seconds) for seconds in (0, 10, 15, 20, 99)] == [100, 100, 150, 200, 200]
