"""Evidence to verdict: the signatures that were measured, and what may never be said, whatever was seen."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import get_args

import pytest

from diagnosis.causes import CAUSES
from diagnosis.specimens import CONTROLS, LADDERS, arm, evidence
from keptalive.cli.diagnose import exit_for
from keptalive.cli.exits import Exit
from keptalive.diagnosis.evidence import NO_TLS_ANSWER, Arm, Evidence, Sample, Timers
from keptalive.diagnosis.fates import Fate, fate
from keptalive.diagnosis.remedies import MEANINGS
from keptalive.diagnosis.result import Diagnosis, Verdict
from keptalive.diagnosis.verdicts import judge
from keptalive.diagnosis.wording import conclude

NO_ARM = Arm(held=True, timers=None, outcome="pending")
EAGER, LAZY, GAPPED = Timers(2, 1, 3), Timers(7, 1, 3), Timers(2, 75, 3)


class Plain:
    """The plain arm, by what became of it."""

    answered, late, alive = arm(Fate.ANSWERED), arm(Fate.LATE), arm(Fate.ALIVE)
    busy, timeout = arm(Fate.ANSWERED, status=429), arm(Fate.ANSWERED, status=504)
    silent, dead_by_reset = arm(Fate.DEAD_SILENT), arm(Fate.DEAD_RESET)
    reset, closed, unconnected = arm(Fate.RESET), arm(Fate.CLOSED), arm(Fate.UNCONNECTED)
    waiting = arm(Fate.WAITING)
    too_soon = replace(arm(Fate.UNCONNECTED) or NO_ARM, error="ECONNRESET")
    turned_away, shut_out = arm(Fate.RESET, waited=0.01), arm(Fate.CLOSED, waited=0.01)
    none = None


class Held:
    """The held arm."""

    answered, alive = arm(Fate.ANSWERED, EAGER), arm(Fate.ALIVE, EAGER)
    quick, timeout = arm(Fate.ANSWERED, EAGER, waited=1.0), arm(Fate.ANSWERED, EAGER, status=504)
    closed, closed_later = arm(Fate.CLOSED, EAGER), arm(Fate.CLOSED, EAGER, waited=9.0)
    reset, reset_later = arm(Fate.RESET, EAGER), arm(Fate.RESET, EAGER, waited=9.0)
    reset_by_probe = arm(Fate.RESET, EAGER, answered_probes=1, waited=4.1)
    reset_between_probes = arm(Fate.RESET, EAGER, answered_probes=1, waited=3.0)
    reset_by_first_probe = arm(Fate.RESET, LAZY, answered_probes=0, waited=7.2)
    reset_before_probes = arm(Fate.RESET, LAZY, answered_probes=0)
    gave_up = arm(Fate.GAVE_UP, EAGER)  # after answers
    gave_up_unheard = arm(Fate.GAVE_UP, EAGER, answered_probes=0)
    gave_up_lazily = arm(Fate.GAVE_UP, LAZY, answered_probes=0)
    gave_up_in_a_gap = arm(Fate.GAVE_UP, GAPPED, answered_probes=1, waited=80.0, last_answered_at=2.0)
    stuck = replace(
        arm(Fate.GAVE_UP, EAGER, answered_probes=0) or NO_ARM,
        samples=(Sample(5.0, "ESTABLISHED", 2, 9, 0, 4, 3, 4.9, 1000, 0),),
    )
    streamed = replace(
        arm(Fate.ANSWERED, EAGER) or NO_ARM,
        samples=tuple(Sample(float(at), "ESTABLISHED", 2, 2, 0, 0, 0, 0.1, 99, at) for at in range(10)),
    )
    unconnected = arm(Fate.UNCONNECTED, EAGER)
    waiting = arm(Fate.WAITING, EAGER, answered_probes=0)
    turned_away = arm(Fate.RESET, EAGER, answered_probes=0, waited=0.02)
    shut_out = arm(Fate.CLOSED, EAGER, answered_probes=0, waited=0.02)


S = evidence  # what was seen
OUT: tuple[Verdict, ...] = ("state-lost", "outage")
ALL: tuple[Verdict, ...] = ("slow-server", "forgotten-silently", "forgotten-reset")

# What was seen of both arms, by a fresh connection and by the measurement; what follows, and what it may be.
TABLE: list[tuple[Evidence, Verdict, tuple[Verdict, ...]]] = [
    # nothing is lost
    (S(Plain.answered, Held.answered), "slow-server", ()),
    (S(Plain.busy, Held.answered), "slow-server", ()),
    (S(Plain.answered, Held.alive), "slow-server", ()),
    (S(Plain.alive, Held.alive), "slow-server", ("proxy-hop",)),
    (S(Plain.alive, Held.alive, proxy=True), "proxy-hop", ("slow-server",)),
    # the path forgets
    (S(Plain.silent, Held.answered), "forgotten-silently", ("state-lost",)),
    (S(Plain.silent, Held.alive), "forgotten-silently", ("state-lost",)),
    (S(Plain.silent, Held.answered, measured="forgets"), "forgotten-silently", ()),
    (S(Plain.dead_by_reset, Held.answered), "forgotten-reset", ("state-lost",)),
    (S(Plain.reset, Held.answered, measured="resets"), "forgotten-reset", ()),
    (S(Plain.reset, Held.answered), "forgotten-reset", ("reset-by-peer",)),
    # ... says one, and the measurement denies it
    (S(Plain.silent, Held.answered, measured="lives"), "cannot-tell", ("forgotten-silently", "state-lost")),
    # the question itself may have brought the answer
    (S(Plain.late, Held.answered), "cannot-tell", ("forgotten-silently", "slow-server")),
    # ... or have opened a path that had forgotten, and the answer is still to be repeated
    (S(Plain.alive, Held.answered), "cannot-tell", ("slow-server", "forgotten-silently")),
    # keepalive too slow
    (S(Plain.silent, Held.gave_up_lazily), "idle-too-long", OUT),
    (S(Plain.silent, Held.gave_up_lazily, measured="forgets"), "idle-too-long", ()),
    (S(Plain.silent, Held.gave_up_lazily, measured="lives"), "state-lost", ("outage",)),
    (S(Plain.dead_by_reset, Held.reset_by_first_probe, measured="resets"), "idle-too-long", ()),
    (S(Plain.reset, Held.reset_before_probes, measured="resets"), "idle-too-long", ()),
    (S(Plain.reset, Held.reset_before_probes), "reset-by-peer", ("idle-too-long",)),
    (S(Plain.silent, Held.gave_up_in_a_gap, measured="forgets"), "interval-too-long", ()),
    (S(Plain.silent, Held.gave_up_in_a_gap), "interval-too-long", OUT),
    # probes do not pass
    (S(Plain.silent, Held.gave_up_unheard, "filtered"), "probes-filtered", ()),
    (S(Plain.answered, Held.gave_up_unheard, "filtered"), "probes-filtered", ()),
    (S(Plain.alive, Held.gave_up_unheard, "filtered"), "probes-filtered", ()),
    (S(Plain.silent, Held.gave_up, "filtered"), "cannot-tell", ("probes-filtered", "outage")),
    (S(Plain.silent, Held.gave_up, "mute"), "cannot-tell", ("probes-filtered", "outage")),
    # others end it
    (S(Plain.timeout, Held.timeout), "gateway-timeout", ()),
    (S(Plain.timeout, Held.timeout, proxy=True), "gateway-timeout", ("proxy-hop",)),
    (S(Plain.timeout, Held.answered), "cannot-tell", ("gateway-timeout",)),
    (S(Plain.silent, Held.timeout), "cannot-tell", ("gateway-timeout", "forgotten-silently")),
    (S(Plain.closed, Held.closed), "closed-by-peer", ()),
    (S(Plain.closed, Held.closed_later), "cannot-tell", ("closed-by-peer",)),
    (S(Plain.closed, Held.answered), "cannot-tell", ("closed-by-peer",)),
    (S(Plain.silent, Held.closed), "cannot-tell", ("closed-by-peer", "forgotten-silently")),
    (S(Plain.reset, Held.reset), "reset-by-peer", ()),
    (S(Plain.reset, Held.reset_later), "cannot-tell", ("reset-by-peer", "forgotten-reset", "state-lost")),
    (S(Plain.silent, Held.reset), "cannot-tell", ("reset-by-peer", "state-lost", "forgotten-silently")),
    # as soon as it is connected: no box forgets so soon, however lazy the keepalive
    (S(Plain.turned_away, Held.turned_away, "turned away"), "reset-by-peer", ()),
    (S(Plain.turned_away, Held.turned_away, "answers"), "reset-by-peer", ()),
    (S(Plain.shut_out, Held.shut_out, "turned away"), "closed-by-peer", ()),
    (S(Plain.shut_out, Held.turned_away, "turned away"), "reset-by-peer", ("closed-by-peer",)),
    # ... or before: which of the two gets to know of its connection is chance
    (S(Plain.too_soon, Held.turned_away, "turned away"), "unreachable", ()),
    (S(Plain.too_soon, Held.reset, "turned away"), "cannot-tell", ("unreachable", "outage")),
    # something restarted: within a silence that was survived before
    (S(Plain.dead_by_reset, Held.reset_by_probe), "state-lost", ()),
    (S(Plain.dead_by_reset, Held.reset_by_probe, "refused"), "state-lost", ()),
    (S(Plain.dead_by_reset, Held.reset_by_probe, "down"), "cannot-tell", OUT),
    (S(Plain.dead_by_reset, Held.reset_between_probes), "cannot-tell", ("reset-by-peer", "state-lost")),
    (
        S(Plain.dead_by_reset, Held.reset_by_probe, measured="resets"),
        "cannot-tell",
        ("forgotten-reset", "reset-by-peer", "state-lost"),
    ),
    (S(Plain.silent, Held.gave_up), "state-lost", ("outage", "forgotten-silently")),
    (S(Plain.silent, Held.gave_up, measured="lives"), "state-lost", ("outage",)),
    (
        S(Plain.silent, Held.gave_up, measured="forgets"),
        "cannot-tell",
        ("forgotten-silently", "outage", "state-lost"),
    ),
    # the path is down, or was
    (S(Plain.silent, Held.gave_up, "down"), "outage", ()),
    (S(Plain.alive, Held.gave_up), "outage", ()),
    (S(Plain.answered, Held.gave_up), "outage", ()),
    (S(Plain.late, Held.gave_up), "outage", ()),
    (S(Plain.answered, Held.gave_up_unheard), "cannot-tell", ("outage", "probes-filtered")),
    (S(Plain.closed, Held.gave_up), "cannot-tell", ("outage", "state-lost")),
    (S(Plain.silent, Held.gave_up, "refused"), "cannot-tell", OUT),
    (S(Plain.silent, Held.gave_up, "none"), "cannot-tell", ("outage", "idle-too-long", "probes-filtered")),
    (S(Plain.unconnected, Held.unconnected), "unreachable", ()),
    (S(Plain.unconnected, Held.answered), "cannot-tell", ("unreachable", "outage")),
    # data was under way, so that no keepalive was: it may be its size that does not pass
    (S(Plain.waiting, Held.stuck), "cannot-tell", ("outage",)),
    (S(Plain.waiting, Held.stuck, "down"), "outage", ()),
    (S(None, Held.stuck), "cannot-tell", ("outage",)),
    # interrupted
    (S(None, None), "cannot-tell", ()),
    (S(Plain.waiting, Held.waiting, "none"), "cannot-tell", ()),
    (S(Plain.waiting, Held.answered, "none"), "cannot-tell", ("slow-server", "forgotten-silently")),
    # the held arm alone
    (S(None, Held.answered, "none", "forgets"), "forgotten-silently", ()),
    (S(None, Held.answered, "none", "resets"), "forgotten-reset", ()),
    (S(None, Held.answered, "none", "lives"), "slow-server", ()),
    (S(None, Held.quick, "none"), "slow-server", ()),
    (S(None, Held.streamed, "none", "forgets"), "slow-server", ()),
    (S(None, Held.answered, "none", "short"), "cannot-tell", ALL),
    (S(None, Held.timeout, "none"), "gateway-timeout", ()),
    (S(None, Held.closed, "none"), "closed-by-peer", ()),
    (S(None, Held.alive), "slow-server", ("proxy-hop",)),
    (S(None, Held.gave_up, "down"), "outage", ()),
    (S(None, Held.gave_up_unheard, "filtered"), "probes-filtered", ()),
    (S(None, Held.gave_up_lazily, measured="forgets"), "idle-too-long", ()),
    (S(None, Held.gave_up_lazily), "cannot-tell", (*OUT, "idle-too-long")),
    (S(None, Held.gave_up), "cannot-tell", OUT),
    (S(None, Held.reset_between_probes), "reset-by-peer", ()),
    (S(None, Held.reset_by_probe), "cannot-tell", OUT),
    (S(None, Held.reset_before_probes), "cannot-tell", ("reset-by-peer", "idle-too-long")),
    (S(None, Held.turned_away, "turned away"), "reset-by-peer", ()),
]  # fmt: skip


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_what_follows(row: int) -> None:
    """Each signature has its verdict, and names what it may be besides."""
    seen, verdict, also = TABLE[row]

    assert judge(seen) == (verdict, also)


def test_every_verdict_can_come() -> None:
    """Each of the fourteen is in the table, has a meaning, and is what the matrix expects somewhere."""
    all_of_them = set(get_args(Verdict))

    assert {verdict for _, verdict, _ in TABLE} == all_of_them
    assert set(MEANINGS) == all_of_them
    assert {cause.expected for cause in CAUSES.values()} == all_of_them


def every_combination() -> list[Evidence]:
    """Every fate of each arm, with everything that control and measurement can say."""
    return [
        evidence(
            arm(plain),
            arm(held, timers, answered_probes=probes),
            control,
            measured,
            proxy=(control == "none"),
        )
        for plain, held, control, measured in itertools.product(Fate, Fate, CONTROLS, LADDERS)
        for timers, probes in ((EAGER, 2), (EAGER, 0), (LAZY, 0), (GAPPED, 1))
        if held is not Fate.ABSENT
    ]


LIVING = {Fate.ANSWERED, Fate.LATE, Fate.ALIVE}
LOST = {Fate.DEAD_SILENT, Fate.DEAD_RESET, Fate.RESET}


def test_what_may_never_be_said() -> None:
    """Whatever the evidence: no verdict without what it takes."""
    for seen in every_combination():
        verdict, also = judge(seen)
        plain, held = fate(seen.plain, seen.seconds), fate(seen.held, seen.seconds)
        control, alone = seen.control, plain is Fate.ABSENT

        assert verdict not in also
        assert len(set(also)) == len(also)
        if verdict in ("forgotten-silently", "forgotten-reset"):
            assert held in LIVING
            assert plain in LOST or (alone and seen.ladder is not None and seen.ladder.dead_at is not None)
        elif verdict in ("idle-too-long", "interval-too-long"):
            assert held not in LIVING
            assert plain in LOST or alone
        elif verdict == "probes-filtered":
            assert control is not None
            assert (control.probes, control.data) == ("silent", "answered")
            assert held in (Fate.GAVE_UP, Fate.DEAD_SILENT)
        elif verdict == "slow-server":
            assert held in LIVING
            assert plain is Fate.ANSWERED or (plain is held) or alone
        elif verdict == "unreachable":
            assert {plain, held} <= {Fate.UNCONNECTED, Fate.ABSENT}
        elif verdict in ("gateway-timeout", "closed-by-peer", "reset-by-peer"):
            assert plain is held or alone
        elif verdict == "outage":
            assert held in (Fate.GAVE_UP, Fate.DEAD_SILENT)
            assert (control is not None and not control.connected) or plain in LIVING
        elif verdict == "state-lost":
            assert control is None or control.connected or control.error == "ECONNREFUSED"
            assert plain in LOST
        elif verdict == "proxy-hop":
            assert seen.request.proxy is not None
            assert held is Fate.ALIVE


def test_every_verdict_in_words() -> None:
    """Sentences have their figures, keepalive helps where a policy or a hint is given, JSON takes it all."""
    said: set[str] = set()
    for seen in [*every_combination(), *(seen for seen, _, _ in TABLE)]:
        diagnosis = conclude(seen)
        text = " ".join([diagnosis.sentence, *diagnosis.because])
        said.add(diagnosis.verdict)

        assert not {"{", "}", "None"} & set(text.replace("(", " ").replace(")", " ").split())
        assert "  " not in text
        assert text.endswith((".", "?"))
        answered = any(arm.outcome == "answered" for arm in diagnosis.arms)
        told = diagnosis.verdict != "slow-server" or answered
        assert diagnosis.keepalive_helps is (MEANINGS[diagnosis.verdict].helps if told else None)
        assert (diagnosis.policy is None) == (not diagnosis.code)
        if diagnosis.verdict.startswith("forgotten"):
            assert diagnosis.policy is not None
    for seen, _, _ in TABLE:
        interrupted = conclude(replace(seen, interrupted=True))
        json.dumps(interrupted.row(), allow_nan=False)

    assert said == set(get_args(Verdict))


def test_the_policy() -> None:
    """By the measured timeout where there is one; else what the held arm has proved, and no guess."""
    measured = conclude(evidence(Plain.silent, Held.answered, measured="forgets"))
    proved = conclude(evidence(Plain.silent, Held.answered))
    too_slow = conclude(evidence(Plain.silent, Held.gave_up_lazily))

    assert str(measured.policy) == "1:1:9"
    assert str(proved.policy) == "2:1:3"
    assert too_slow.policy is None
    assert measured.code["first"] == "policy = keptalive.Policy(idle=1, interval=1, count=9)"
    assert measured.code["any other program"] == "keptalive run --policy 1:1:9 -- COMMAND ..."


def test_figures_in_the_sentence() -> None:
    """The bracket, the time, the status: as measured."""
    forgotten = conclude(evidence(Plain.silent, Held.answered, measured="forgets"))
    gateway = conclude(evidence(Plain.timeout, Held.timeout))
    slow = conclude(evidence(Plain.answered, Held.answered))

    assert "silent for 4.9 to 5.1 s" in forgotten.sentence
    assert "after 10.0 s, and says so (status 504)" in gateway.sentence
    assert "(status 200 after 10.0 s)" in slow.sentence


@pytest.mark.parametrize(
    ("status", "waited", "said"),
    [
        (404, 0.0, "the server answered 404 at once: is this the request you meant?"),
        (500, 30.0, "the server answered 500: is this the request you meant?"),
        (401, 0.1, "the server answered 401 at once: are its credentials missing?"),
        (403, 0.1, "the server answered 403 at once: are its credentials missing?"),
        (200, 0.1, "the server answered 200 at once: this was no long wait."),
        (200, 30.0, "the server takes its time."),
    ],
)
def test_an_answer_that_took_no_time(status: int, waited: float, said: str) -> None:
    """The verdict stays, and its exit code; its sentence does not speak of a server that takes its time."""
    plain = arm(Fate.ANSWERED, status=status, waited=waited)
    diagnosis = conclude(evidence(plain, arm(Fate.ANSWERED, EAGER, status=status, waited=waited)))

    assert diagnosis.verdict == "slow-server"
    assert diagnosis.sentence.startswith("Nothing is lost on the way")
    assert diagnosis.sentence.endswith(said)


def steps_of(diagnosis: Diagnosis) -> str:
    return " ".join(f"{step.who}: {step.what}" for step in diagnosis.steps)


@pytest.mark.parametrize("status", [400, 404, 500])
def test_the_steps_after_an_error_are_about_the_request(status: int) -> None:
    """Not about a wait that was none, nor about a server that is too slow."""
    plain = arm(Fate.ANSWERED, status=status, waited=0.1)
    steps = steps_of(conclude(evidence(plain, arm(Fate.ANSWERED, EAGER, status=status, waited=0.1))))

    assert steps.startswith("client: Look at the request")
    assert f"why {status}?" in steps
    assert "not needed for a wait" not in steps
    assert "too slow" not in steps


def test_the_steps_after_a_quick_answer_do_not_call_it_slow() -> None:
    """Nor do they, where it took its time, leave it out."""
    quick = conclude(evidence(arm(Fate.ANSWERED, waited=0.1), arm(Fate.ANSWERED, EAGER, waited=0.1)))
    slow = conclude(evidence(Plain.answered, Held.answered))

    assert "not needed for a wait as long as this one" in steps_of(quick)
    assert "too slow" not in steps_of(quick)
    assert "too slow" in steps_of(slow)


def test_without_an_answer_nothing_is_said_about_longer_waits() -> None:
    """The time is the one given, not that of the questions after it; whether keepalive helps is open."""
    seen = replace(evidence(Plain.alive, Held.alive), timeout=2.0, seconds=3.4)
    diagnosis = conclude(seen)
    alone = conclude(replace(seen, plain=None))
    interrupted = conclude(replace(seen, interrupted=True, seconds=1.2))

    assert diagnosis.sentence == (
        "No answer came in 2 s, the time given, but both connections live: so far nothing is lost on the way."
    )
    assert "its connection lives" in alone.sentence
    assert interrupted.sentence.startswith("No answer came in 1.2 s, but")
    assert all("no answer in 2 s" in fact for fact in diagnosis.because[:2])
    assert diagnosis.keepalive_helps is None
    assert exit_for(diagnosis) is Exit.UNKNOWN
    assert "--timeout" in steps_of(diagnosis)
    assert "not needed" not in steps_of(diagnosis)


def test_one_answered_and_one_waiting() -> None:
    """Which is which is said; that is an answer, and exit code 0."""
    diagnosis = conclude(evidence(Plain.answered, Held.alive))

    assert "(status 200 after 10.0 s)" in diagnosis.sentence
    assert "the other request still waits after 13 s" in diagnosis.sentence
    assert (diagnosis.keepalive_helps, exit_for(diagnosis)) == (False, Exit.OK)


@pytest.mark.parametrize(
    ("plain", "held", "how"),
    [
        (Plain.turned_away, Held.turned_away, "reset"),
        (Plain.shut_out, Held.shut_out, "closed"),
        (None, Held.turned_away, "reset"),
    ],
)
def test_nobody_behind_what_accepts(plain: Arm | None, held: Arm, how: str) -> None:
    """Said only where a connection that asked for nothing was ended like that, too."""
    nobody = conclude(evidence(plain, held, "turned away"))
    somebody = conclude(evidence(plain, held))

    assert f"accepted and {how} at once" in nobody.sentence
    assert "nothing listens behind" in nobody.sentence
    assert steps_of(nobody).startswith("server: Is the server running?")
    assert any("on which nothing was asked for, was reset as well" in fact for fact in nobody.because)
    assert exit_for(nobody) is Exit.PROBLEM
    assert "nothing listens" not in somebody.sentence


def test_a_proxy_that_is_not_there() -> None:
    """It is the proxy's name and port that are to be checked; not so where the proxy itself spoke."""
    dead = evidence(Plain.unconnected, Held.unconnected, proxy=True)
    spoke = replace(Held.unconnected or NO_ARM, error="the proxy answered 503")

    assert "to the proxy proxy.example:3128 (Connection refused)." in conclude(dead).sentence
    assert steps_of(conclude(dead)).startswith("client: Check the proxy's name and port")
    assert "Check the host's name" in steps_of(conclude(replace(dead, plain=None, held=spoke)))


def test_a_connection_that_is_reset_while_it_is_made() -> None:
    """A closed port refuses; this one accepts, for somebody who is not there. Over TLS it may be anything."""
    reset = replace(Held.unconnected or NO_ARM, error="ECONNRESET")
    seen = evidence(None, reset)
    tls = replace(seen, request=replace(seen.request, tls=True))

    assert "nothing listens behind" in conclude(seen).sentence
    assert steps_of(conclude(seen)).startswith("server: Is the server running?")
    assert "nothing listens behind" not in conclude(tls).sentence


def test_tls_where_there_may_be_none() -> None:
    """A handshake that nobody answers: perhaps the port speaks plain HTTP."""
    silent = replace(Held.unconnected or NO_ARM, error=NO_TLS_ANSWER)

    assert "perhaps it is http://" in steps_of(conclude(evidence(None, silent)))
    assert "http://" not in steps_of(conclude(evidence(None, Held.unconnected)))
