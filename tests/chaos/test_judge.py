"""What a round's evidence amounts to: by table, and the figures to both sides of each bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chaos.child import Fate
from chaos.judge import Happened, Limits, complaints, deadline
from chaos.kernel_limit import latest_end, latest_end_of_connect
from chaos.plan import Asked
from chaos.rounds import Evidence, happening, sort_evidence
from keptalive.lab import LabEvent

DEFAULT = Limits(retries=15, syn_retries=6)
LOWERED = Limits(retries=3, syn_retries=2)

#: Asked at 100, the path died at 102; 1:1:2 finds out in 3 s, so by 102 + 1.15 x 3 + 1.
DEAD = Happened("held", "failed", 100.0, 105.0, 1, "1:1:2", "TimeoutError()", died=102.0)
IN_TIME = 102 + 1.15 * 3 + 1


@pytest.mark.parametrize(
    ("changes", "limits", "due", "why"),
    [
        ({}, DEFAULT, IN_TIME, "detection time"),
        ({"began": 103.0}, DEFAULT, IN_TIME + 1, "detection time"),
        ({"late": 0.5}, DEFAULT, IN_TIME + 0.5, "detection time"),
        (
            {"policy": "1:1:9:4"},
            DEFAULT,
            102 + 1.15 * 4 + 1,
            "detection time",
        ),  # the probe at 4 s is the last
        ({"data_since": 102.5}, DEFAULT, 102.5 + latest_end(15) + 1, "tcp_retries2"),
        ({"data_since": 102.5}, LOWERED, 102.5 + latest_end(3) + 1, "tcp_retries2"),
        ({"data_since": 102.5, "policy": "1:1:9:4"}, LOWERED, 102.5 + 1.15 * 4 + 1, "user timeout"),
        ({"syn_since": 103.0}, LOWERED, 103 + latest_end_of_connect(2) + 1, "tcp_syn_retries"),
        # It first learns that its connection is dead, then connects in vain.
        (
            {"syn_since": 105.0, "data_since": 102.0},
            LOWERED,
            105 + latest_end_of_connect(2) + 1,
            "tcp_syn_retries",
        ),
        ({"data_since": 102.5, "own_timeout": 5.0}, DEFAULT, 102 + 1.15 * 5 + 1, "the client's own time-out"),
        ({"own_timeout": 60.0}, DEFAULT, IN_TIME, "detection time"),
    ],
)
def test_which_bound_applies(changes: dict[str, Any], limits: Limits, due: float, why: str) -> None:
    found = deadline(replace(DEAD, **changes), limits)

    assert (found[0], found[1]) == (pytest.approx(due), why)


@pytest.mark.parametrize(
    ("changes", "wanted", "complaint"),
    [
        ({}, "", None),
        ({"ended": IN_TIME - 0.01}, "", None),
        ({"ended": IN_TIME + 0.01}, "", "0.01 s too late"),
        ({"ended": None, "outcome": "lost"}, "", "hangs: the error was due"),
        ({}, "answered", "failed, though the path lives"),
        ({"outcome": "answered"}, "", None),
        ({"outcome": "answered", "died": None}, "answered", None),
        ({"outcome": "truncated"}, "", "part of an answer"),
        ({"outcome": "truncated", "died": None}, "answered", "part of an answer"),
        ({"died": None}, "", "failed, though its path did not die"),
        ({"died": None, "late": 2.0}, "", "failed, though its path did not die"),
        ({"died": None, "late": 2.1}, "", None),
        ({"died": None, "own_timeout": 5.0}, "", None),
        ({"died": None, "ended": None, "outcome": "lost"}, "", "hangs on a path that lives"),
        ({"died": None, "ended": None, "outcome": "lost"}, "answered", "lost, though the path lives"),
        (
            {"died": None, "ended": None, "outcome": "lost", "late": 2.0},
            "answered",
            "lost, though the path lives",
        ),
        ({"died": None, "ended": None, "outcome": "lost", "late": 2.1}, "answered", None),
        ({"protected": False, "outcome": "answered"}, "", "never carried the policy"),
        ({"protected": False, "outcome": "answered", "late": 2.1}, "", None),
        ({"protected": False}, "", None),
        ({"held": False, "protected": False, "outcome": "answered"}, "answered", None),
        ({"held": False, "ended": None, "outcome": "lost"}, "", None),
        ({"held": False, "ended": None, "outcome": "lost", "died": None}, "answered", "lost, though"),
        ({"outcome": "answered", "requests": 2}, "", "sent 2 times, plain 1"),
        ({"requests": 2}, "", "sent 2 times, plain 1"),
    ],
)
def test_what_is_complained_of(changes: dict[str, Any], wanted: str, complaint: str | None) -> None:
    found = complaints(replace(DEAD, **changes), DEFAULT, wanted, allowed_requests=1)

    assert len(found) == (complaint is not None)
    assert complaint is None or complaint in found[0]


def fate(port: int) -> Fate:
    return Fate("requests", "held", port, "failed", "TimeoutError()", 100.0, 105.0, 1, 0.2, True, True, 0.0)


ASKED = Asked("requests", "slow", start=0.0, pause=0.0, policy="1:1:2")
WAY = "10.99.1.2:40000 > 10.99.2.2:"


def test_the_record_of_the_firewall_says_what_was_in_flight() -> None:
    """By port; of the client's packets those with data, and SYNs; and only what came after the death.

    Whether they passed makes no difference: on a path that is dead one way, what arrives is not acknowledged.
    """
    evidence = sort_evidence(
        [
            LabEvent(101.0, "dropped", f"{WAY}7001: 57 bytes: lost", "client"),
            LabEvent(102.0, "blackhole", "blackhole begins"),
            LabEvent(103.0, "dropped", f"{WAY}7001: probe: blackhole", "client"),
            LabEvent(103.1, "dropped", f"{WAY}7002: 57 bytes: blackhole", "client"),
            LabEvent(103.2, "dropped", "10.99.2.2:7003 > 10.99.1.2:40000: 57 bytes: blackhole", "server"),
            LabEvent(103.3, "dropped", f"{WAY}7004: SYN: blackhole", "client"),
            LabEvent(103.4, "dropped", f"{WAY}7004: SYN: blackhole", "client"),
            LabEvent(103.4, "passed", f"{WAY}7005: 57 bytes", "client"),
            LabEvent(103.5, "expired", f"{WAY}7005: idle for 2 s"),
            LabEvent(103.5, "expired", f"{WAY}7006: the server's way was idle for 2 s"),
            LabEvent(103.6, "passed", f"{WAY}7006: 1 byte", "client"),
            LabEvent(109.0, "expired", f"{WAY}7001: idle for 2 s"),
            LabEvent(109.0, "dropped", f"{WAY}7001: 57 bytes: blackhole", "client"),
        ]
    )
    found = {port: happening(ASKED, fate(port), evidence) for port in range(7001, 7007)}

    assert {port: one.died for port, one in found.items()} == {
        **dict.fromkeys((7001, 7002, 7003, 7004), 102.0),
        **dict.fromkeys((7005, 7006), 103.5),
    }
    assert {port: one.data_since for port, one in found.items() if one.data_since} == {
        7002: 103.1,
        7006: 103.6,
    }
    assert {port: one.syn_since for port, one in found.items() if one.syn_since} == {7004: 103.3}


def test_an_outage_that_is_over_is_no_second_death() -> None:
    evidence = sort_evidence(
        [LabEvent(1.0, "outage", "outage begins"), LabEvent(2.0, "outage", "outage ends")]
    )

    assert evidence == {0: Evidence(died=[1.0])}
