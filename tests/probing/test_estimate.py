"""From trials to a bracket: proof counts as proof, and what contradicts itself is not sure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keptalive.probing.estimate import Bracket, Trial, bracket


def lived(*ages: float) -> list[Trial]:
    return [Trial(True, age) for age in ages]


def died(*ages: float, bursts: int = 4) -> list[Trial]:
    return [Trial(False, age, bursts) for age in ages]


ages = st.lists(st.floats(1, 1000), max_size=60)


@given(ages, st.floats(1, 1000), st.floats(0, 0.4))
def test_consistent_trials_give_the_tightest_bracket(tried: list[float], timeout: float, loss: float) -> None:
    """Without a contradiction it is the longest survived and the shortest deadly silence, and sure."""
    trials = [Trial(age < timeout, age, 7) for age in tried]
    alive, dead = [age for age in tried if age < timeout], [age for age in tried if age >= timeout]

    assert bracket(trials, loss) == Bracket(max(alive, default=None), min(dead, default=None), True)


@given(ages, ages, st.floats(0, 0.4))
def test_a_bracket_is_never_inside_out(survived: list[float], deadly: list[float], loss: float) -> None:
    """Whatever the trials say, its lower end is no higher than its upper end."""
    found = bracket([*lived(*survived), *died(*deadly)], loss)

    assert found.alive is None or found.dead is None or found.alive <= found.dead
    assert found.width >= 0


@given(st.floats(10, 100), st.integers(3, 20), st.floats(0, 0.3))
def test_one_false_death_among_many_survivors(timeout: float, others: int, loss: float) -> None:
    """A connection whose probes were all lost moves nothing: longer silences were survived, by several."""
    below = [timeout * (0.5 + 0.4 * number / others) for number in range(others)]
    trials = [*lived(*below), *died(timeout * 0.3), *died(timeout * 1.01, timeout * 1.05)]

    found = bracket(trials, loss)

    assert (found.alive, found.dead, found.sure) == (max(below), timeout * 1.01, True)


def test_one_against_one_is_not_sure() -> None:
    """A survivor above a dead one: either may be wrong, and the bracket spans both."""
    found = bracket([*lived(4.0, 5.0, 5.4), *died(5.2, 6.0, 7.0)], 0.2)

    assert found == Bracket(5.0, 6.0, sure=False)


def test_a_false_survivor_is_outvoted() -> None:
    """One connection alive above many dead ones, as when its handshake was never seen to complete."""
    found = bracket([*lived(4.0, 4.9, 8.0), *died(5.0, 5.1, 5.3, 6.0, 7.0, bursts=7)], 0.2)

    assert found == Bracket(4.9, 5.0, sure=True)


def test_many_paths_are_not_sure() -> None:
    """Survivors and dead all over: several gateways with timeouts of their own. The bracket spans them."""
    trials = [*lived(4.0, 5.0, 6.0, 7.0), *died(5.5, 6.5, 7.5, 8.0)]
    found = bracket(trials, 0.0)

    assert not found.sure
    assert found.alive is not None
    assert found.dead is not None
    assert found.alive <= 5.0
    assert found.dead >= 7.5


def test_nothing_was_tried() -> None:
    """No trials, no bracket, and no claim."""
    assert bracket([]) == Bracket(None, None, True)
    assert bracket([]).width == float("inf")
