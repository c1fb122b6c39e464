"""What the ends of many silences say: each behaviour from the evidence it leaves, and from no less."""

from __future__ import annotations

from collections import Counter

import pytest

from keptalive.probing.estimate import Trial
from keptalive.probing.signatures import (
    SENTENCES,
    Behaviour,
    Ended,
    Evidence,
    caveats,
    closed_after,
    forgetting,
    judge,
    needs_data,
    who_ended,
)

WIDTH = 0.1


def found(*, deaths: str = "silent", **more: object) -> Evidence:
    """Return what a path that forgets after 5 s leaves."""
    trials = [
        *(Trial(True, age) for age in (1.0, 2.0, 4.0, 4.95)),
        *(Trial(False, age, 4) for age in (5.02, 6.0)),
    ]
    evidence = Evidence(trials=trials, deaths=Counter({deaths: 2}), settled=40, living=38)
    for name, value in more.items():
        setattr(evidence, name, value)
    return evidence


def by_the_server(after: float) -> list[Ended]:
    """A server's timer: equal times since the connection was made, whenever it was probed."""
    return [Ended(after + jitter, after - probed, "fin") for jitter, probed in ((0, 1), (0.01, 3), (0.02, 5))]


def by_the_path(after: float) -> list[Ended]:
    """A middlebox's timer: equal times since the last packet."""
    return [Ended(after + made, after + jitter, "reset") for jitter, made in ((0, 1), (0.01, 1.5), (0.02, 2))]


def survivors(*ages: float) -> list[Trial]:
    return [Trial(True, age) for age in ages]


CASES: list[tuple[str, Evidence, Behaviour | None]] = [
    ("forgotten in silence", found(), "silent"),
    ("an RST when asked", found(deaths="reset"), "reset"),
    (
        "an RST at expiry",
        Evidence(survivors(1.0, 3.0), ends=by_the_path(5.0), living=30, settled=40),
        "reset",
    ),
    (
        "a server that closes",
        Evidence(survivors(1.0, 3.0), ends=by_the_server(8.0), living=30),
        "closed-by-peer",
    ),
    ("closed before anything settled", Evidence(shed=[0.5] * 9), "closed-by-peer"),
    (
        "ended at once, each of the first five",
        Evidence(shed=[0.01] * 5, turned_away=5, living=6),
        "unreachable",
    ),
    ("ended at once, so far", Evidence(shed=[0.01] * 4, turned_away=4, living=6), None),
    ("ended at once, all there are", Evidence(shed=[0.01] * 3, turned_away=3), "unreachable"),
    ("ended at once, others later", Evidence(shed=[0.01] * 5 + [0.9], turned_away=5), "closed-by-peer"),
    ("some shed, the others live", found(shed=[0.01] * 9), "silent"),
    (
        "the other end's own probes",
        Evidence(survivors(1.0), disturbed=8, settled=40, living=40),
        "kept-alive-by-peer",
    ),
    (
        "a few disturbed by a lost handshake",
        Evidence(survivors(1.0), disturbed=4, settled=40, living=40),
        None,
    ),
    (
        "an end that talks",
        Evidence(survivors(1.0), talk=Counter({1: 3, 2: 3, 3: 4}), settled=40, living=40),
        "kept-alive-by-peer",
    ),
    ("one answer on each", Evidence(survivors(1.0), talk=Counter({1: 1, 2: 1, 3: 1}), living=40), None),
    ("data yes, probes no", Evidence(unsettled=9, acknowledged=True), "probes-filtered"),
    ("neither", Evidence([Trial(False, 1.05)], unsettled=9, acknowledged=False), "silent"),
    ("nobody answers any more", found(outage=True), "outage"),
    ("young connections died", found(died_young=3), "outage"),
    ("nothing dead at the longest", Evidence(survivors(1.0, 60.0), settled=40, living=40), "outlived"),
    ("not there yet", Evidence(survivors(1.0, 40.0), settled=40, living=40), None),
    ("too wide", Evidence([*survivors(4.0), Trial(False, 5.0, 4)], settled=40, living=40), None),
    ("the shortest silence killed", Evidence([Trial(False, 1.1, 4)], settled=40, living=40), "silent"),
]


@pytest.mark.parametrize(
    ("evidence", "behaviour"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_judge(evidence: Evidence, behaviour: Behaviour | None) -> None:
    """The table: what was seen, and what it means; None where more has to be seen."""
    assert judge(evidence, longest=60.0, width=WIDTH) == behaviour


def test_a_server_that_closes_does_not_hide_a_path_that_forgets() -> None:
    """Whoever had not answered by then is waited for; a death before is the path's."""
    closing = Evidence(survivors(1.0, 4.9), ends=by_the_server(8.0), living=30, settled=40)
    assert judge(closing, 60.0, WIDTH, suspects=2) is None
    assert judge(closing, 60.0, WIDTH) == "closed-by-peer"

    closing.trials.append(Trial(False, 7.5, 4))
    closing.deaths["silent"] += 1
    assert judge(closing, 60.0, WIDTH) == "silent"
    assert "closes after 8.0 s" in " ".join(caveats(closing, "silent"))


def test_contradictions_are_no_judgement() -> None:
    """Evidence that is not sure waits for more."""
    evidence = found()
    evidence.trials += [Trial(False, 4.5, 4), Trial(True, 5.1)]

    assert judge(evidence, longest=60.0, width=WIDTH) is None


def test_where_packets_are_lost_one_death_is_not_enough() -> None:
    """Two connections have to die before it is believed; where nothing was ever lost, one."""
    evidence = Evidence([*survivors(4.0, 4.95), Trial(False, 5.02, 4)], settled=40, living=40)
    assert judge(evidence, 60.0, WIDTH) == "silent"

    evidence.loss = 0.2
    assert judge(evidence, 60.0, WIDTH) is None

    evidence.trials.append(Trial(False, 5.4, 7))
    assert judge(evidence, 60.0, WIDTH) == "silent"


def test_whose_timer() -> None:
    """Equal since the connection was made: the server's. Equal since the last packet: the path's."""
    assert who_ended(by_the_server(8.0), living=30) == "peer"
    assert who_ended(by_the_path(5.0), living=30) == "path"


def test_whose_timer_it_was_is_not_guessed() -> None:
    """Two ends are too few while others live; so are ends that say the same either way."""
    alike = [Ended(3.0, 2.0 - 0.01 * number, "fin") for number in range(5)]

    assert who_ended([], living=30) is None
    assert who_ended(by_the_server(8.0)[:2], living=30) is None
    assert who_ended(alike, living=30) is None
    assert who_ended(alike, living=0) == "peer"


def test_an_rst_at_expiry_tells_the_timeout() -> None:
    """It proves life just before, and death just after."""
    evidence = Evidence(ends=by_the_path(5.0), living=30, settled=40)
    bracket = evidence.bracket()

    assert bracket.alive == pytest.approx(4.98)
    assert bracket.dead == pytest.approx(5.02)
    assert forgetting(evidence) == "reset"


def test_a_fin_proves_that_the_path_lives() -> None:
    """It came through, over a connection that had been idle since it was last probed."""
    evidence = Evidence(survivors(1.0), ends=by_the_server(8.0), living=30)

    assert evidence.bracket().alive == pytest.approx(6.98)
    assert evidence.bracket().dead is None
    assert closed_after(evidence) == pytest.approx(8.01)


def test_when_to_ask_by_data() -> None:
    """Only if no probe was ever answered, by enough connections or by all there are, and once."""
    assert needs_data(Evidence(unsettled=3), waiting=40)
    assert needs_data(Evidence(unsettled=1), waiting=0)
    assert not needs_data(Evidence(unsettled=1), waiting=40)
    assert not needs_data(Evidence(unsettled=3, settled=1), waiting=0)
    assert not needs_data(Evidence(unsettled=3, asked_by_data=True), waiting=0)


@pytest.mark.parametrize(
    ("behaviour", "evidence", "words"),
    [
        ("silent", found(loss=0.2), "20%"),
        ("silent", Evidence([*survivors(6.0), Trial(False, 5.0, 4)]), "contradict"),
        ("silent", Evidence([Trial(False, 1.05)], unsettled=9, acknowledged=False), "one second"),
        ("reset", found(deaths="reset", trials=found().trials), ""),
        ("closed-by-peer", Evidence(ends=by_the_server(8.0)), "keptalive serve"),
        ("outage", found(outage=True), "Nothing has answered"),
        ("outage", found(died_young=3), "restarted"),
    ],
)
def test_caveats(behaviour: Behaviour, evidence: Evidence, words: str) -> None:
    """What a reader has to know is said, and nothing where there is nothing to say."""
    said = " ".join(caveats(evidence, behaviour))

    assert words in said
    assert bool(words) == bool(said)


def test_every_behaviour_has_its_sentence() -> None:
    """What the evidence can say can be printed."""
    assert set(SENTENCES) == set(Behaviour.__args__)  # type: ignore[attr-defined]
