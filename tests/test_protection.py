"""The rule: which state, timer and settings are called protected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptalive.linux.sock_diag import TIMERS
from keptalive.protection import AWAITING, SOON, Settings, judge
from keptalive.tcp_states import STATES


@pytest.mark.parametrize("state", AWAITING)
@pytest.mark.parametrize(
    ("timer", "late", "protected", "keepalive"),
    [
        ("keepalive", False, True, True),
        ("keepalive", True, False, True),
        ("off", False, False, False),
        ("on", False, None, None),
        ("persist", False, None, None),
        ("timewait", False, None, None),
        ("unknown", False, None, None),
    ],
)
def test_where_an_answer_is_awaited(
    state: str, timer: str, late: bool, protected: bool | None, keepalive: bool | None
) -> None:
    """The timer that is seen decides; another one hides it."""
    facts = judge(state, timer, 3, late=late)

    assert (facts.protected, facts.settings.keepalive) == (protected, keepalive)
    assert (facts.state, facts.timer, facts.probes) == (state, timer, 3)
    assert (facts.settings.idle, facts.settings.user_timeout) == (None, None)


@pytest.mark.parametrize("state", sorted(set(STATES) - set(AWAITING)))
@pytest.mark.parametrize("timer", TIMERS)
def test_everywhere_else_nothing_is_claimed(state: str, timer: str) -> None:
    """FIN-WAIT-2 shows its own time-out as a keepalive timer."""
    facts = judge(state, timer, 0)

    assert (facts.protected, facts.settings.keepalive) == (None, None)


@pytest.mark.parametrize(
    ("settings", "protected"),
    [
        (Settings(True, 45, 15, 9, None), True),
        (Settings(True, SOON, SOON, 1, 30.0), True),
        (Settings(True, SOON + 1, 15, 9, None), False),
        (Settings(True, 45, SOON + 1, 9, None), False),
        (Settings(False, 45, 15, 9, None), False),
        (Settings(False, None, None, None, None), False),
        (Settings(True, None, 15, 9, None), None),
        (Settings(None, 45, 15, 9, None), None),
    ],
)
def test_what_the_socket_says_decides(settings: Settings, protected: bool | None) -> None:
    """Whatever timer is seen, and however late: idle and interval are what counts."""
    for timer in TIMERS:
        facts = judge("ESTABLISHED", timer, 0, late=True, asked=settings)

        assert facts.protected is protected
        assert facts.settings is settings
    assert judge("LISTEN", "off", 0, asked=settings).protected is None


@given(st.text(max_size=9), st.text(max_size=9), st.integers(0, 255), st.booleans())
def test_any_words_are_judged(state: str, timer: str, probes: int, late: bool) -> None:
    """States and timers that a later kernel may have are unknown, not protected."""
    facts = judge(state, timer, probes, late=late)

    assert facts.protected in (True, False, None)
    if state not in AWAITING or timer not in ("keepalive", "off"):
        assert facts.protected is None
