"""One table of client behaviour and outcome: on each engine, with each kind of rights, all at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.scenario import EXPECTED, PATIENCE
from lab.users import start
from support import missing

RUNS = [
    pytest.param("kernel", "self", marks=pytest.mark.lab),
    pytest.param("kernel", "user", marks=pytest.mark.lab),
    ("relay", "self"),
    ("relay", "user"),
    ("relay", "powerless"),
    ("", "confined"),
]


@pytest.fixture(scope="module")
def running(shared_directory: Path) -> Iterator[dict[tuple[str, str], subprocess.Popen[str]]]:
    """Start every run: each waits for silence most of its time."""
    started = {}
    for run in RUNS:
        engine, who = getattr(run, "values", run)
        started[engine, who] = start(shared_directory, "scenario.py", *filter(None, [engine]), who=who)
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.fixture
def result(running: Any, engine: str, who: str) -> dict[str, Any]:
    """Wait for one run's outcomes."""
    text, _ = running[engine, who].communicate(timeout=2 * PATIENCE)
    found: dict[str, Any] = json.loads(text)
    if "refused" in found:
        missing(found["refused"])
    return found


@pytest.mark.parametrize(("engine", "who"), RUNS)
def test_probes_keep_a_flow_alive_and_silence_kills_it(result: dict[str, Any], engine: str, who: str) -> None:
    """The plain client hears nothing, the held one its answer; probes that come too late find nobody."""
    outcomes = result["outcomes"]

    assert {name for name in outcomes if name.endswith("IPv4")}
    assert outcomes == {name: EXPECTED[name.partition(",")[0]] for name in outcomes}
    assert result["engine"] == (engine or "relay")


@pytest.mark.parametrize(("engine", "who"), [("", "confined")])
def test_who_may_not_have_namespaces_gets_the_relay(result: dict[str, Any]) -> None:
    """Where the kernel refuses, the choice falls on the relay and says why."""
    assert result["engine"] == "relay"
    assert result["reason"].startswith("user namespaces are refused here (E")
    assert result["reason"].endswith("; using the relay")
