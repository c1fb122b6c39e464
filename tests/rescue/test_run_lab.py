"""What `run` and `attach` are for: programs nobody can change, behind a firewall that forgets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.users import start, world_readable
from rescue.scenario import PATIENCE, PROGRAMS, clients
from support import missing, require

EXPECTED = {"plain": "lost", "run": "answered", "attach": "answered"}
PROGRAMS_TESTED = ("wget", "node", "java", "go", "curl", "python")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Offer a directory that any user can read, with keptalive, the scenario and its programs in it."""
    with tempfile.TemporaryDirectory() as name:
        shared = world_readable(Path(name))
        shutil.copy(Path(__file__).with_name("scenario.py"), shared)
        shutil.copytree(PROGRAMS, shared / "programs")
        _compile(shared)
        yield shared


def _compile(shared: Path) -> None:
    """Build the Go and the Java program, where there is a compiler."""
    if shutil.which("go"):
        subprocess.run(
            ["go", "build", "-ldflags", "-s -w", "-o", str(shared / "client"), str(PROGRAMS / "client.go")],
            env={**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off"},
            check=True,
            timeout=600,
        )
    if shutil.which("javac"):
        subprocess.run(["javac", "-d", str(shared), str(PROGRAMS / "Client.java")], check=True, timeout=600)


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_programs_that_cannot_be_changed_get_their_answer(directory: Path) -> None:
    """Lost plain, answered under `run`, and after `attach`; for root and for an ordinary user, all at once.

    And a plain client gets its answer when only the server runs under `run`.
    """
    there = [program for program in PROGRAMS_TESTED if program in clients(directory)]
    users = ("self", "user") if os.geteuid() == 0 else ("self",)
    scenarios = {who: start(directory, "scenario.py", str(directory), who=who) for who in users}
    found = {
        who: json.loads(scenario.communicate(timeout=10 * PATIENCE)[0]) for who, scenario in scenarios.items()
    }
    for report in found.values():
        if "refused" in report:
            missing(report["refused"])

    for who, report in found.items():
        for program in there:
            outcomes = {how: report["outcomes"][f"{program}, {how}"] for how in EXPECTED}
            assert outcomes == EXPECTED, (who, program)
        assert report["outcomes"]["server, plain"] == "lost", who
        assert report["outcomes"]["server, run"] == "answered", who
    assert len({report["uid"] for report in found.values()}) == len(users)
    for program in PROGRAMS_TESTED:
        require(program in there, f"{program} is not installed; the others were tested")
