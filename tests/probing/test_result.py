"""The result claims what was proved, and not a millisecond more."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptalive.policy import TIMER_LATENESS
from keptalive.probing.estimate import Trial
from keptalive.probing.result import ProbeResult, conclude
from keptalive.probing.signatures import Behaviour, Ended, Evidence


def result(
    behaviour: Behaviour = "silent", alive: float | None = 240.1, dead: float | None = 241.0
) -> ProbeResult:
    trials = [Trial(True, alive)] if alive is not None else []
    trials += [Trial(False, dead, 4)] if dead is not None else []
    return conclude(
        Evidence(trials),
        behaviour,
        host="example",
        port=443,
        address="192.0.2.1:443",
        connections=49,
        seconds=9.0,
    )


def test_json() -> None:
    """What programs get has at least the promised fields, and is JSON."""
    row = result().row()

    promised = {
        "alive_at",
        "dead_at",
        "idle_timeout",
        "behaviour",
        "connections",
        "seconds",
        "policy",
        "caveats",
    }
    assert promised <= row.keys()
    assert json.loads(json.dumps(row)) == row
    assert (row["alive_at"], row["dead_at"], row["idle_timeout"]) == (240.1, 241.0, 240.55)
    assert row["policy"] == "80:24:9"
    assert row["presets"] == ["azure-lb", "azure-nat-gateway", "azure-firewall"]


@given(st.floats(1.5, 3600), st.floats(0, 10))
def test_milliseconds_are_rounded_away_from_the_timeout(alive: float, width: float) -> None:
    """Rounding never claims life, or death, that was not seen."""
    row = result(alive=alive, dead=alive + width).row()

    assert row["alive_at"] <= alive
    assert row["dead_at"] >= alive + width


@pytest.mark.parametrize("behaviour", ["outlived", "unknown"])
def test_no_policy_where_longer_silences_were_not_tried(behaviour: Behaviour) -> None:
    """What outlived a few seconds need not be probed each second: the default may well do."""
    short = result(alive=5.0, dead=None, behaviour=behaviour)
    long = result(alive=60.0, dead=None, behaviour=behaviour)

    assert (short.policy, short.row()["policy"], short.too_short) == (None, None, True)
    assert (str(long.policy), long.too_short) == ("20:6:9", False)
    assert result(alive=5.0, dead=5.1, behaviour="silent").policy is not None


@given(st.floats(1.5, 30000))
def test_the_policy_rests_on_what_was_proved(alive: float) -> None:
    """Three probes leave in the silence that was survived, however late; one where seconds are too coarse."""
    policy = result(alive=alive, dead=alive + 0.1, behaviour="silent").policy

    assert policy is not None
    probes = 2 if alive >= 6 else 0
    assert (policy.idle + probes * policy.interval) * (1 + TIMER_LATENESS) <= alive


@pytest.mark.parametrize(
    ("behaviour", "alive"),
    [("silent", None), ("silent", 1.4), ("probes-filtered", 60.0), ("unreachable", None)],
)
def test_no_policy(behaviour: Behaviour, alive: float | None) -> None:
    """None where nothing was proved, or where keepalive is of no use."""
    assert result(behaviour, alive, None).policy is None


def test_an_outage_says_nothing_about_the_timeout() -> None:
    """What died then did not die of silence."""
    got = result("outage")

    assert (got.alive_at, got.dead_at, got.idle_timeout, got.sure) == (240.1, None, None, False)


def test_who_closes_after_a_minute() -> None:
    """The presets of a server that closes are those that count bytes."""
    ends = [Ended(60.0, 58.0 - number, "fin") for number in range(5)]
    got = conclude(
        Evidence(ends=ends), "closed-by-peer", host="h", port=80, address=None, connections=5, seconds=61.0
    )

    assert got.closed_after == 60.0
    assert {preset.name for preset in got.presets} == {"aws-alb", "nginx"}
    assert got.alive_at == pytest.approx(57.98)
