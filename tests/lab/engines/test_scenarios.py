"""One table of faults, clients and outcomes: on each engine, with each kind of rights, all at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keptalive.lab.faults import ENGINES, FAULTS, parse
from lab.scenario import CLIENTS, DIFFERENCES, PATIENCE, TABLE, expected
from lab.users import start
from support import missing

FAULTS_OF = {engine: [fault for fault in TABLE if engine in parse(fault).engines] for engine in ENGINES}
# engine, with whose rights; "": whatever engine is chosen. What a packet meets does not depend on who runs
# the lab: others than this user run what needs each right once.
RUNS = {
    **{(engine, "self"): faults for engine, faults in FAULTS_OF.items()},
    ("kernel", "user"): FAULTS_OF["kernel"],
    ("packet", "user"): ["idle-drop:2", "idle-reset-both:2", "nat-rebind:2"],
    ("relay", "user"): ["idle-drop:2", "idle-reset:2", "outage@1-5"],
    ("relay", "powerless"): ["idle-drop:2", "idle-reset:2", "outage@1-5"],
    ("", "confined"): ["idle-drop:2"],
}
CASES = [
    pytest.param(engine, who, fault, marks=[] if engine in ("relay", "") else pytest.mark.lab)
    for (engine, who), faults in RUNS.items()
    for fault in faults
]


@pytest.fixture(scope="module")
def running(shared_directory: Path) -> Iterator[dict[tuple[str, str], subprocess.Popen[str]]]:
    """Start every run: each waits for silence most of its time."""
    started = {
        (engine, who): start(shared_directory, "scenario.py", engine, *faults, who=who)
        for (engine, who), faults in RUNS.items()
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def results(running: Any) -> dict[tuple[str, str], Any]:
    """Wait for the outcomes of all runs."""
    return {run: json.loads(process.communicate(timeout=2 * PATIENCE)[0]) for run, process in running.items()}


@pytest.mark.parametrize(("engine", "who", "fault"), CASES)
def test_each_engine_does_to_each_client_what_the_table_says(
    results: Any, engine: str, who: str, fault: str
) -> None:
    """Over IPv4, and over IPv6 where the machine has it."""
    found = results[engine, who][fault]
    if "refused" in found:
        missing(found["refused"])
    outcomes = found["outcomes"]

    assert found["engine"] == (engine or "relay")
    assert {name for name in outcomes if name.endswith("IPv4")}
    assert outcomes == {name: expected(found["engine"], fault, name.partition(",")[0]) for name in outcomes}


def test_who_may_not_have_namespaces_gets_the_relay(results: Any) -> None:
    """Where the kernel refuses, the choice falls on the relay and says why, once."""
    found = results["", "confined"]["idle-drop:2"]

    assert found["engine"] == "relay"
    assert found["reason"].startswith("user namespaces are refused here (E")
    assert found["reason"].endswith("; using the relay")
    assert found["reason"].count("refused") == 1


def test_the_table_is_complete_and_its_differences_are_some() -> None:
    """Every fault is in it; each difference is one, with its reason."""
    kinds = {part.name for fault in TABLE for part in parse(fault).parts}

    assert kinds == set(FAULTS)
    assert all(len(row) == len(CLIENTS) for row in TABLE.values())
    for (engine, fault, client), (outcome, reason) in DIFFERENCES.items():
        assert engine in parse(fault).engines
        assert outcome != TABLE[fault][list(CLIENTS).index(client)]
        assert len(reason.split()) > 3
