"""Policy: validation, parsing, and the arithmetic of detection."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keptalive import Policy, PolicyError
from keptalive.policy import TIMER_LATENESS


def test_default_figures() -> None:
    """45/15/9, user timeout off."""
    assert Policy() == Policy(idle=45, interval=15, count=9, user_timeout=None)


def test_default_outlives_an_outage_of_two_minutes() -> None:
    """The probes alone last longer than 120 s, whatever moment the outage begins at."""
    assert Policy().interval * Policy().count > 120


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"idle": 0}, "at least 1"),
        ({"count": -1}, "at least 1"),
        ({"idle": 1.5}, "whole number"),
        ({"interval": True}, "whole number"),
        ({"count": "9"}, "whole number"),
        ({"idle": float("nan")}, "whole number"),
        ({"idle": 2, "interval": 75}, "longer than idle"),
        ({"user_timeout": 0}, "at least 0.001"),
        ({"user_timeout": float("inf")}, "finite"),
        ({"user_timeout": "4"}, "number of seconds"),
        ({"user_timeout": 10**400}, "finite"),
        ({"idle": 2**31}, "at most 2147483647"),
        ({"count": float("inf")}, "whole number"),
    ],
)
def test_refused(arguments: dict[str, object], words: str) -> None:
    """What no kernel could do is a ValueError that says why."""
    with pytest.raises(PolicyError, match=words) as caught:
        Policy(**arguments)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)


def test_frozen() -> None:
    """A policy never changes once it was checked."""
    with pytest.raises(AttributeError):
        Policy().idle = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("60:15:9", Policy(60, 15, 9)),
        (" 60:60:100 ", Policy(60, 60, 100)),
        ("60:15:9:30", Policy(60, 15, 9, 30)),
        ("60:15:9:2.5", Policy(60, 15, 9, 2.5)),
    ],
)
def test_parse(text: str, policy: Policy) -> None:
    """IDLE:INTERVAL:COUNT[:USER_TIMEOUT]."""
    assert Policy.parse(text) == policy


@pytest.mark.parametrize(
    "text", ["", "60", "60:15", "a:b:c", "60:15:9:30:1", "60:15:9:", "60;15;9", "1.5:1:9"]
)
def test_parse_refuses(text: str) -> None:
    """Anything else is refused, quoting the text."""
    with pytest.raises(PolicyError):
        Policy.parse(text)


@given(
    st.integers(1, 32767),
    st.integers(1, 32767),
    st.integers(1, 127),
    st.none() | st.integers(1, 10**6).map(lambda ms: ms / 1000),
)
def test_str_is_what_parse_reads(idle: int, interval: int, count: int, user_timeout: float | None) -> None:
    """str() and parse() are each other's inverse."""
    policy = Policy(max(idle, interval), interval, count, user_timeout)

    assert Policy.parse(str(policy)) == policy


_NUMBERS = st.integers(-1, 10**5).map(str) | st.text(alphabet="0123456789.-_eEnaif ", max_size=6)


@given(st.text(max_size=20) | st.lists(_NUMBERS, max_size=5).map(":".join))
@example("9" * 5000 + ":1:1")  # int() refuses thousands of digits
@example("9" * 4000 + ":1:1")
@example("1:1:1:1e308")
def test_parse_never_crashes(text: str) -> None:
    """Whatever the text, a PolicyError, or a policy that is read again as it is written."""
    try:
        policy = Policy.parse(text)
    except PolicyError:
        return
    assert policy.idle >= policy.interval >= 1
    assert 0 < policy.detection_time < float("inf")
    assert Policy.parse(str(policy)) == policy


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (Policy(7, 1, 3), 10),
        (Policy(7, 1, 3, user_timeout=4), 8),  # measured: 8.0-8.2 s, count ignored
        (Policy(7, 1, 3, user_timeout=20), 20),  # measured: 20.3-20.6 s, count ignored the other way
        (Policy(), 180),
        (Policy(60, 60, 100), 6060),
    ],
)
def test_detection_time(policy: Policy, seconds: float) -> None:
    """Seconds from the last sign of life to the error."""
    assert policy.detection_time == seconds


@given(st.floats(1.5, 432000))
def test_for_idle_timeout_is_never_too_late(timeout: float) -> None:
    """Late timers included, the first probe leaves before the path forgets."""
    policy = Policy.for_idle_timeout(timeout)

    assert policy.idle * (1 + TIMER_LATENESS) < timeout


@given(st.floats(10, 432000))
def test_for_idle_timeout_sends_three_probes_in_time(timeout: float) -> None:
    """Three probes have left before 0.6 T, so that two may be lost."""
    policy = Policy.for_idle_timeout(timeout)

    assert (policy.idle + 2 * policy.interval) * (1 + TIMER_LATENESS) <= 0.6 * timeout + 1e-9


@pytest.mark.parametrize(
    ("timeout", "text"), [(240, "80:24:9"), (350, "116:35:9"), (5, "1:1:9"), (432000, "7200:2160:9")]
)
def test_for_idle_timeout(timeout: float, text: str) -> None:
    """idle = T/3, interval = T/10, count 9; no longer than the two hours every OS defaults to."""
    assert str(Policy.for_idle_timeout(timeout)) == text


@pytest.mark.parametrize("timeout", [0, -5, 1.2, float("nan"), "300"])
def test_for_idle_timeout_refuses(timeout: object) -> None:
    """A path that forgets faster than the shortest probe cannot be held."""
    with pytest.raises(PolicyError):
        Policy.for_idle_timeout(timeout)  # type: ignore[arg-type]
