"""The plugin as a project sees it that has nothing but the package installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import clean_environment

CONFIGURED = """
import pytest

@pytest.fixture(scope="session")
def keptalive_lab_listen():
    return "::1"

@pytest.fixture(scope="session")
def keptalive_lab_speed():
    return 100
"""

TESTS = """
import socket, urllib.request
import pytest

def test_one(keptalive_lab):
    with keptalive_lab("idle-reset-both:60", speed=1) as box:
        assert urllib.request.urlopen(f"{box.url}/sleep/0").read() == b"slept 0\\n"
        with socket.create_connection((box.host, box.port)) as client:
            box.expire_now()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            mine = f":{client.getsockname()[1]} "  # the request's connection may be there still
        assert [event.kind for event in box.events if mine in event.detail] == ["expired", "reset"]

def test_left_open(keptalive_lab, request):
    boxes = [keptalive_lab("idle-close:100", to=("127.0.0.1", 9)) for _ in range(2)]
    assert boxes[0].port != boxes[1].port
    assert boxes[0].host == HOST

def test_an_engine(keptalive_lab):
    with pytest.raises(RuntimeError, match="loss is for the packet engine"):
        keptalive_lab("loss:10%")
"""

#: Tells what a run of pytest has loaded besides, and how long that took.
IMPORTED = """
import sys, time
import pytest
before = set(sys.modules)
started = time.perf_counter()
import keptalive.lab.pytest_plugin
seconds = time.perf_counter() - started
print(seconds, *sorted(set(sys.modules) - before))
"""


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False, timeout=100
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("xdist", [False, True], ids=["one process", "xdist"])
def test_the_fixture(tmp_path: Path, xdist: bool) -> None:
    """Found without a word in conftest; boxes that a test leaves open end with it; workers do not meet."""
    (tmp_path / "test_it.py").write_text(f"HOST = '127.0.0.1'\n{TESTS}")
    said = run(tmp_path, *(["-n", "3"] if xdist else []))

    assert "3 passed" in said, said


def test_every_choice_can_be_overridden(tmp_path: Path) -> None:
    """By a fixture of the same name."""
    (tmp_path / "conftest.py").write_text(CONFIGURED)
    (tmp_path / "test_it.py").write_text(f"HOST = '::1'\n{TESTS}")

    assert "3 passed" in run(tmp_path)


def test_fixtures_explain_themselves(tmp_path: Path) -> None:
    """To `pytest --fixtures`."""
    said = run(tmp_path, "--fixtures")

    assert "Open boxes, as keptalive.lab.open_box() does" in said
    assert "Where boxes listen" in said
    assert "By how much the times of faults are divided" in said


def test_importing_it_costs_nothing() -> None:
    """Nothing is loaded but names of ours: under 5 ms, at the best of five."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", IMPORTED],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(5)
    ]

    assert set(runs[0][1:]) <= {
        "keptalive",
        "keptalive._version",
        "keptalive.lab",
        "keptalive.lab.pytest_plugin",
    }
    assert min(float(seconds) for seconds, *_ in runs) < 0.005
