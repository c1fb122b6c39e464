"""Whom to ask, when: the plan climbs without leaving gaps, and fills a gap evenly."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptalive.probing.ladder import Ask, Gap, Goal, climb, refine, witness

FLOOR = 1.02


def climbing(goal: Goal, spread: float) -> list[Ask]:
    """Climb a path that forgets nothing; whoever answered begins anew."""
    idle_since = {rung: spread * rung / goal.connections for rung in range(goal.connections)}
    now, reached, asks = spread, 0.0, []
    while (ask := climb(idle_since, reached, FLOOR, goal, now)) is not None:
        now = ask.at
        idle_since[ask.rung] = now
        reached = ask.age
        asks.append(ask)
    return asks


@pytest.mark.parametrize("connections", [5, 20, 49, 200])
def test_climbing_keeps_pace(connections: int) -> None:
    """Each silence is a step longer than the last, and ends little later than it lasts, for ever."""
    goal = Goal(0.01, 3600, connections)
    asks = climbing(goal, spread=1.0)

    assert asks[0].age == pytest.approx(FLOOR, rel=0.05)
    assert asks[-1].age == 3600
    for before, after in pairwise(asks):
        assert after.age <= before.age * goal.step * 1.001 + 0.001
    assert asks[-1].at <= 3600 * 1.05 + 2


def test_fifty_connections_reach_any_timeout_within_an_eighth() -> None:
    """The sum of step and lag: what the first finding costs beyond the timeout itself."""
    goal = Goal(0.01, 3600, 49)
    for ask in climbing(goal, spread=1.0):
        if ask.age > 30:
            assert ask.at * goal.step < ask.age * 1.125 + 1


def test_nobody_climbs_at_the_top_or_with_nobody_free() -> None:
    """No plan, rather than a senseless one."""
    goal = Goal(0.01, 60, 10)

    assert climb({}, 5.0, FLOOR, goal, 0.0) is None
    assert climb({1: 0.0}, 60.0, FLOOR, goal, 100.0) is None


def test_the_oldest_climbs() -> None:
    """Whoever was idle longest lags least."""
    ask = climb({1: 10.0, 2: 5.0, 3: 7.0}, 20.0, FLOOR, Goal(0.01, 60, 10), now=12.0)

    assert ask is not None
    assert ask.rung == 2


def test_the_witness_is_the_youngest() -> None:
    """Asked as soon as the kernel can send a probe, and no sooner than called."""
    assert witness({1: 10.0, 2: 5.0}, FLOOR, 0.0, now=10.5) == Ask(11.02, 1, pytest.approx(1.02), True)
    assert witness({1: 10.0, 2: 5.0}, FLOOR, 14.0, now=10.5) == Ask(14.0, 1, pytest.approx(4.0), True)
    assert witness({}, FLOOR, 0.0, now=10.5) is None


gaps = st.tuples(st.floats(2, 1000), st.floats(1.01, 2.0), st.floats(0.005, 0.05), st.floats(0, 0.2)).map(
    lambda parts: Gap(
        alive=parts[0],
        dead=parts[0] * parts[1],
        width=max(parts[2] * parts[0], 2 * (0.03 + parts[3])),
        blur=0.03 + parts[3],
    )
)


@given(gaps, st.lists(st.floats(0, 1), max_size=5))
def test_targets_leave_no_gap_that_is_too_wide(gap: Gap, under_way: list[float]) -> None:
    """Whichever target turns out to be the last alive, the bracket is as narrow as wanted."""
    asked = [gap.alive + part * (gap.dead - gap.alive) for part in under_way]
    targets = gap.targets(asked)

    if gap.dead - gap.alive > gap.width:
        inside = [age for age in asked if gap.alive < age < gap.dead - gap.blur]
        marks = sorted([gap.alive, *inside, *targets, max(gap.alive, gap.dead - gap.blur)])
        assert all(after + gap.blur - before <= gap.width * 1.0001 for before, after in pairwise(marks))
    else:
        assert targets == []


@given(gaps, st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 0.2))
def test_a_plan_can_be_kept(gap: Gap, ages: list[float], lag: float) -> None:
    """Each rung is asked once, not before now, and at an age inside the gap, or a little later."""
    now = gap.dead * (1 + lag)
    idle_since = {rung: now - part * now for rung, part in enumerate(ages)}
    plan = refine(idle_since, gap, [], now)

    assert len({ask.rung for ask in plan}) == len(plan)
    for ask in plan:
        assert ask.at >= now
        assert ask.age == pytest.approx(ask.at - idle_since[ask.rung])
        assert gap.alive < ask.age < gap.dead + gap.blur


def test_who_is_between_is_asked_at_once() -> None:
    """The connections that the ladder left behind are of every age: no second round of waiting."""
    goal = Goal(0.01, 3600, 49)
    asks = climbing(goal, spread=1.0)
    last = next(ask for ask in asks if ask.age > 60)
    idle_since = {ask.rung: ask.at for ask in asks if ask.at < last.at}
    gap = Gap(last.age / goal.step, last.age, 0.6, 0.03)

    plan = refine(idle_since, gap, [], last.at)

    assert len(plan) == len(gap.targets([]))
    assert max(ask.at for ask in plan) <= last.at + 1.5
