"""The drawing of a measurement: a mark for each silence, the bracket, the policy's probes."""

from __future__ import annotations

from collections import Counter

from diagnosis.report.reading import _Reader
from diagnosis.report.values import ALIVE, DEAD, closed, measured
from keptalive.diagnosis.report.ladder import ladder
from keptalive.probing.estimate import Trial


def classes(drawing: str | None) -> Counter[str]:
    reader = _Reader()
    reader.feed(drawing or "")
    page = reader.finish()

    assert page.faults == []
    return page.classes


def test_a_mark_for_each_silence() -> None:
    """Alive and dead, enlarged once more around the timeout, and the probes that would have come before."""
    drawn = classes(ladder(measured()))
    enlarged_alive = sum(1 for age in ALIVE if age > 4.98 - 2.5 * 0.06)
    enlarged_dead = sum(1 for age in DEAD if age < 5.04 + 2.5 * 0.06)
    probes = 4  # of 1:1:9, after 1, 2, 3 and 4 s

    assert drawn["dot-alive"] == len(ALIVE) + enlarged_alive + probes
    assert drawn["cross"] == len(DEAD) + enlarged_dead
    assert drawn["zone-limit"] == 2


def test_a_wide_bracket_is_not_enlarged() -> None:
    """It can be seen as it is."""
    drawn = classes(ladder(measured(alive_at=2.2, dead_at=5.04)))

    assert drawn["zone-limit"] == 1


def test_what_the_other_end_closed() -> None:
    """A box each; no policy, since none helps."""
    drawing = ladder(closed())

    assert classes(drawing)["box"] == 4
    assert "closed by the other end at 10.0 s" in str(drawing)
    assert "keepalive" not in str(drawing)


def test_nothing_to_draw() -> None:
    """Where no silence ended."""
    assert ladder(measured(behaviour="unreachable", alive_at=None, dead_at=None, trials=())) is None


def test_only_the_dead() -> None:
    """Nothing was proved alive: every line is a dead one."""
    drawn = classes(ladder(measured(alive_at=None, dead_at=1.05, trials=(Trial(False, 1.05, 4),))))

    assert (drawn["cross"], drawn["dot-alive"], drawn["zone-alive"]) == (1, 0, 0)
