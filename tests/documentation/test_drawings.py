"""The drawings say what the lab recorded; docstrings reach the site as they are meant."""

from __future__ import annotations

import importlib
import json
from types import ModuleType

import pytest

from documentation.pages import DOCS


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that draws; it is no part of the package."""
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("generating.drawings")


@pytest.mark.parametrize(
    ("scene", "arm", "labels"),
    [
        ("idle-drop:5", "plain", ["connect", "request", "answer"]),
        ("idle-drop:5", "held", ["connect", "request", "probe", "probe", "probe", "answer"]),
        ("idle-reset:5", "plain", ["connect", "request", "answer", "reset"]),
        ("gateway-timeout:5", "plain", ["connect", "request", "504", "close"]),
        ("probes-filtered", "held", ["connect", "request", "probe", "reset"]),
    ],
)
def test_arrows(drawings: ModuleType, scene: str, arm: str, labels: list[str]) -> None:
    """Packets that answer each other at once are one arrow; a repetition of what was lost has no name."""
    events = json.loads((DOCS / "figures" / "traces.json").read_text())["scenes"][scene][arm]["events"]
    arrows = drawings.rows(events)

    assert [arrow.label for arrow in arrows if arrow.label] == labels
    assert sum(arrow.lost for arrow in arrows) == sum(event["kind"] == "dropped" for event in events)


def test_what_was_recorded() -> None:
    """Held, the answer comes through a firewall that forgets; plain, it does not."""
    scenes = json.loads((DOCS / "figures" / "traces.json").read_text())["scenes"]
    got = {scene: (arms["plain"]["got"], arms["held"]["got"]) for scene, arms in scenes.items()}

    assert got["idle-drop:5"] == got["idle-reset:5"] == ("timed out", "200")
    assert got["gateway-timeout:5"] == ("504", "504")


def test_definitions_in_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines "name: text" about parameters become definitions; other colons are left alone."""
    monkeypatch.syspath_prepend(str(DOCS / "_extensions"))
    docstrings = importlib.import_module("docstrings")
    lines = ["Do it.", "", "host, port: where", "    to.", "rate: how fast", "Note: nothing.", ""]

    assert docstrings.as_definitions(lines, {"host", "port", "rate"}) == [
        *("Do it.", ""),
        *("``host, port``", "    where", "    to.", ""),
        *("``rate``", "    how fast", ""),
        *("Note: nothing.", ""),
    ]
