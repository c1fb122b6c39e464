"""The pages: whole, harmless whatever was measured, and saying what the result says."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from diagnosis.report.reading import read
from diagnosis.report.values import closed, diagnosis, held, measured, plain
from keptalive.diagnosis.evidence import Shape
from keptalive.diagnosis.report.of_diagnosis import diagnosis_page
from keptalive.diagnosis.report.of_probe import probe_page
from keptalive.diagnosis.result import Diagnosis, Verdict
from keptalive.presets import PRESETS
from keptalive.probing.result import ProbeResult
from keptalive.probing.signatures import Behaviour

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x1b]0;x\x07</style></svg>"
WHEN = "2026-11-27 07:20 UTC"


@pytest.mark.parametrize("behaviour", get_args(Behaviour))
def test_every_behaviour_has_a_page(behaviour: Behaviour) -> None:
    """Whole and harmless, whatever was found."""
    forgets = behaviour in ("silent", "reset")
    result = measured(behaviour=behaviour, dead_at=5.04 if forgets else None, caveats=("Mind the gap.",))
    page = read(probe_page(result, when=WHEN, interrupted=behaviour == "unknown"))

    assert page.elements["h1"] == page.elements["svg"] == 1
    assert "Mind the gap." in page.text
    assert "db.example:5432 (198.51.100.7:5432)" in page.text
    assert WHEN in page.text


def test_the_figures_of_a_path() -> None:
    """The timeout, who has to change what, and the policy in every form."""
    page = read(probe_page(measured(), when=WHEN))

    assert "The path forgets connections that are silent for 5.0 s, and tells nobody." in page.text
    for words in ("5.01 s ± 0.03 s", "Raise its idle timeout", "TCP_KEEPIDLE = 1", "run --policy 1:1:9"):
        assert words in page.text


def test_known_boxes_are_named_with_their_sources() -> None:
    """As links for people to follow."""
    preset = next(row for row in PRESETS if row.at_expiry == "silent" and row.keepalive_helps)
    result = measured(alive_at=preset.idle_timeout - 0.5, dead_at=preset.idle_timeout + 0.5)
    page = read(probe_page(result, when=WHEN))

    assert preset.title in page.text
    assert preset.source in page.links


def test_a_server_that_closes() -> None:
    """Its own limit, which no keepalive moves."""
    page = read(probe_page(closed(), when=WHEN))

    assert "closes idle connections first: after 10.0 s." in page.text
    assert "TCP_KEEPIDLE" not in page.text


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_every_verdict_has_a_page(verdict: Verdict) -> None:
    """Whole and harmless, whatever was found."""
    page = read(diagnosis_page(diagnosis(verdict)))

    assert verdict in page.text
    assert page.elements["h1"] == 1
    assert page.elements["svg"] == 2  # over time, and the path


def test_the_figures_of_a_diagnosis() -> None:
    """The verdict, the reasons, the steps by side, the evidence and the code."""
    page = read(diagnosis_page(diagnosis(also_possible=("state-lost",))))

    for words in (
        "The path forgets connections that are silent for 5.0 s, and tells nobody.",
        "Plain: no answer, and its connection is dead.",
        "This evidence does not rule out: state-lost",
        "10.0.0.5:34874 → 10.0.0.9:8080",
        "probes after 12.3 s of silence: silent",
        "session = keptalive.hold(requests.Session())",
        "Began 2026-11-27 07:12:47 UTC, took 15 s.",
    ):
        assert words in page.text
    assert page.text.index("Raise the idle timeout.") < page.text.index(
        "Hold the connection."
    )  # network first


def _hostile_probe() -> ProbeResult:
    return measured(host=HOSTILE, address=HOSTILE, error=HOSTILE, caveats=(HOSTILE,), behaviour="unreachable")


def _hostile_diagnosis() -> Diagnosis:
    arm = replace(held(), server=HOSTILE, via=HOSTILE, error=HOSTILE, local=HOSTILE, remote=HOSTILE)
    request = Shape(HOSTILE, HOSTILE, HOSTILE, 80, False, (HOSTILE,), 5, HOSTILE, "option")
    return diagnosis(
        plain=replace(plain(), error=HOSTILE),
        held=arm,
        request=request,
        began=HOSTILE,
        ladder=_hostile_probe(),
        sentence=HOSTILE,
        because=(HOSTILE,),
        code={HOSTILE: f"{HOSTILE}\n{HOSTILE}"},
    )


@pytest.mark.parametrize(
    "html",
    [probe_page(_hostile_probe(), when=HOSTILE), diagnosis_page(_hostile_diagnosis())],
    ids=["probe", "diagnosis"],
)
def test_what_the_network_says_stays_text(html: str) -> None:
    """Servers, names and errors may say what they like: it is shown, and nothing more."""
    page = read(html)

    assert "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\\u202e\\x1b]0;x\\x07" in page.text
    assert not {"\u202e", "\x1b", "\x07"} & set(html)
