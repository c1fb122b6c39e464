"""Events: what the samples of an arm show, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diagnosis.report.values import held, plain, sample, too_late
from keptalive.diagnosis.report.events import Event, events, last_sign_of_life


def test_probes_that_were_answered() -> None:
    """At the moments of their answers, which TCP_INFO tells to within a tick."""
    assert [(round(at, 1), kind) for at, kind in events(held())] == [
        (2.3, "answer"),
        (4.4, "answer"),
        (6.5, "answer"),
        (8.6, "answer"),
    ]


def test_probes_that_were_not() -> None:
    """At the samples that show one more."""
    assert events(too_late()) == [Event(7.5, "probe"), Event(8.5, "probe"), Event(9.5, "probe")]


def test_questions_of_ours_are_no_events() -> None:
    """The plain connection sent nothing by itself; its probes were the diagnosis' question."""
    assert events(plain()) == []


def test_data_and_repetitions() -> None:
    """Data that came is no answer to a probe; data that had to be sent again is shown."""
    samples = (
        sample(1, 0.2),
        sample(3, 2.9, bytes_received=100),
        sample(5, 2.9, bytes_received=100, unacked=1, retransmits=1),
        sample(6, 5.9, bytes_received=100, bytes_acked=170),
    )

    assert events(replace(held(), samples=samples)) == [Event(3, "data"), Event(5, "again")]


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        (plain(), 0.2),
        (held(), 10.3),
        (too_late(), 0.2),
        (replace(too_late(), outcome="reset", ended_at=4.0), 4.0),
        (
            replace(plain(), connected_at=None, sent_at=None, last_answered_at=None, samples=(), pokes=()),
            None,
        ),
    ],
    ids=["forgotten", "answered", "given up", "reset", "never connected"],
)
def test_the_last_sign_of_life(arm, expected) -> None:
    """The last packet of the other end before anything was asked."""
    found = last_sign_of_life(arm)

    assert found == (None if expected is None else pytest.approx(expected))
