"""The drawing of a diagnosis: both arms, what passed, what was asked, and when the path had forgotten."""

from __future__ import annotations

from dataclasses import replace

from diagnosis.report.test_ladder import classes
from diagnosis.report.values import diagnosis, held, plain, too_late
from keptalive.diagnosis.evidence import Arm, Control
from keptalive.diagnosis.report.timeline import timeline


def test_a_path_that_forgets() -> None:
    """The plain arm is forgotten, and asked in the end; the held one has its answers, and the answer."""
    drawing = str(timeline(diagnosis()))
    drawn = classes(drawing)

    assert drawn["dot-alive"] == 4 + 1  # probes, and the control
    assert drawn["zone-limit"] == drawn["cross"] == drawn["ask"] == 1
    assert drawn["data"] == 3  # two requests, one answer
    assert drawn["gone"] == drawn["silent"] == 1
    for words in ("forgotten by the path", "asked: no answer", "still waiting", "answer 200 after 10.1 s"):
        assert words in drawing


def test_keepalive_that_came_too_late() -> None:
    """Both arms are forgotten; the held one's probes stay unanswered."""
    drawing = str(timeline(diagnosis("idle-too-long", held=too_late())))
    drawn = classes(drawing)

    assert drawn["ring-dead"] == 3
    assert drawn["zone-limit"] == 2
    assert "given up (ETIMEDOUT) after 10.1 s" in drawing


def test_no_grave_without_a_measurement() -> None:
    """When it was forgotten is not known, so it is not drawn; nor where something else is to blame."""
    for found in (diagnosis(ladder=None), diagnosis("outage")):
        drawing = str(timeline(found))

        assert "forgotten by the path" not in drawing
        assert classes(drawing)["gone"] == 1  # dead it is


def test_one_arm_only() -> None:
    """A request that may not be repeated has a single lane."""
    drawing = str(timeline(diagnosis(plain=None)))

    assert ">held<" in drawing
    assert ">plain<" not in drawing


def test_no_connection() -> None:
    """Refused: a cross, and why."""
    refused = Arm(held=False, timers=None, outcome="no-connection", error="ECONNREFUSED", ended_at=0.1)
    alone = Control(at=1.0, connected=False, error="ECONNREFUSED")
    found = diagnosis(
        "unreachable", plain=refused, held=replace(refused, held=True), control=alone, seconds=1.2
    )
    drawing = str(timeline(found))

    assert classes(drawing)["cross"] == 3
    assert "no connection (ECONNREFUSED)" in drawing
    assert "a fresh connection: ECONNREFUSED" in drawing


def test_nothing_was_done() -> None:
    """Interrupted at once."""
    assert timeline(diagnosis(plain=None, held=None, seconds=0.0)) is None


def test_alive_and_waiting() -> None:
    """A connection that answered when it was asked is drawn solid to the end."""
    (poke,) = plain().pokes
    waiting = replace(plain(), pokes=(replace(poke, reply="answered"),))
    drawn = classes(
        str(timeline(diagnosis("slow-server", plain=waiting, held=replace(held(), outcome="answered"))))
    )

    assert drawn["alive"] == 2
    assert drawn["silent"] == drawn["gone"] == 0
