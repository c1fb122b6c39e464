"""The table of middleboxes: every row complete, and only policies that can work come out of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptalive import Policy, PolicyError
from keptalive.policy import TIMER_LATENESS
from keptalive.presets import PRESETS, Preset, fitting, parse_policy, policy, preset

by_name = pytest.mark.parametrize("row", PRESETS, ids=lambda row: row.name)


@by_name
def test_every_row_is_sourced_and_dated(row: Preset) -> None:
    """A name for the command line, a source, a month, a range that holds the default."""
    assert re.fullmatch(r"[a-z][a-z0-9-]+", row.name)
    assert row.source.startswith("https://")
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", row.looked_up)
    if row.configurable is not None:
        low, high = row.configurable
        assert low <= row.idle_timeout <= high


def test_names_are_unique() -> None:
    """Each name means one box."""
    assert len({row.name for row in PRESETS}) == len(PRESETS)


@by_name
def test_the_policy_probes_three_times_before_the_box_forgets(row: Preset) -> None:
    """However late the timers fire; or there is none, with the reason."""
    if not row.keepalive_helps:
        with pytest.raises(PolicyError, match="counts bytes"):
            policy(row.name)
        return
    made = policy(row.name)

    assert made == Policy.for_idle_timeout(row.idle_timeout)
    assert (made.idle + 2 * made.interval) * (1 + TIMER_LATENESS) < row.idle_timeout


def test_an_unknown_name() -> None:
    """The error lists what is known."""
    with pytest.raises(PolicyError, match="azure-lb, "):
        preset("acme")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60:15:9", Policy(60, 15, 9)),
        ("60:15:9:120", Policy(60, 15, 9, 120.0)),
        ("azure-lb", Policy(80, 24, 9)),
        (" AWS-NLB ", Policy(116, 35, 9)),
    ],
)
def test_parse_policy(text: str, expected: Policy) -> None:
    """A preset's name, or the three numbers."""
    assert parse_policy(text) == expected


@pytest.mark.parametrize("text", ["", "60", "1:2:3", "nginx", "acme"])
def test_what_is_no_policy(text: str) -> None:
    """Neither a name nor three numbers, or a box that no keepalive impresses."""
    with pytest.raises(PolicyError):
        parse_policy(text)


@pytest.mark.parametrize("text", ["off", " OFF "])
def test_off_is_refused_with_what_to_do(text: str) -> None:
    """Everywhere: a policy is what is set."""
    with pytest.raises(PolicyError, match="set KEPTALIVE_POLICY=off in the environment"):
        parse_policy(text)


def names(low: float, high: float) -> set[str]:
    return {row.name for row in fitting(low, high)}


def test_fitting() -> None:
    """Those whose timeout lies in the bracket, give or take two per cent."""
    assert names(239.1, 241.0) == {"azure-lb", "azure-nat-gateway", "azure-firewall"}
    assert names(351.0, 354.0) == {"aws-nat-gateway", "aws-nlb", "aws-network-firewall"}
    assert names(59.6, 60.1) == {"aws-alb", "nginx"}
    assert names(290.0, 291.0) == set()
    assert names(4.98, 5.02) == set()


_WRITTEN = st.sampled_from([row.name for row in PRESETS] + ["off", "60:15:9", "60:15:9:30"])


@given(st.text(max_size=20) | _WRITTEN | st.tuples(_WRITTEN, st.text(max_size=3)).map("".join))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    """What --policy takes is a policy as Policy.parse() or a preset has it; all else, a PolicyError."""
    try:
        made = parse_policy(text)
    except PolicyError:
        return
    assert made == (Policy.parse(text) if ":" in text else preset(text).policy)
