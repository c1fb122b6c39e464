"""The comparison finds harm where there is some, and none where there is none: seen on tests of ours."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from harm import runs
from harm.compare import judge
from harm.outcomes import Comparison
from harm.suites import Part
from support import require

pytestmark = pytest.mark.timeout(300)  # four to six interpreters in a row, on a busy machine

TESTS = """
import socket

def test_steady():
    pass

def test_timeout():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname(), timeout=33) as sock:
            assert sock.gettimeout() == 33

def test_fails_either_way():
    with socket.socket() as sock:
        sock.settimeout(0.1)
        sock.connect(("203.0.113.1", 80))  # nobody: what leaves the machine goes nowhere
"""


@pytest.fixture
def part(tmp_path: Path) -> Part:
    problem = runs.possible()
    require(problem is None, f"tests can be kept apart from the network: {problem}")
    (tmp_path / "test_ours.py").write_text(TESTS)
    return Part("ours", Path(sys.executable), ("test_ours.py",), tmp_path)


def test_harmless(part: Part) -> None:
    """install() changes no outcome, neither of what passes nor of what fails."""
    found, held = judge(part, twice=True)

    assert held == 2  # the one that is answered, and the one that is not
    assert found == Comparison(
        same={
            "test_ours::test_steady": "passed",
            "test_ours::test_timeout": "passed",
            "test_ours::test_fails_either_way": "failure: TimeoutError",
            part.whole: "exit 1",
        }
    )


def test_harmful(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that loses a socket's time-out changes the outcome of the test of time-outs, every time."""
    monkeypatch.setattr("harm.compare.RUNS_AGAIN", 1)
    found, held = judge(part, twice=False, switch="break")

    assert held == 0
    assert found.different == {
        "test_ours::test_timeout": "plain: 2 x passed; switched on: 2 x failure: AssertionError"
    }
    assert found.unsteady == {}


def test_interrupted(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """When all is ended, what is running ends, and a part's other runs are not begun."""
    assert part.folder is not None
    (part.folder / "test_ours.py").write_text("import time\n\ndef test_long():\n    time.sleep(600)\n")
    monkeypatch.setattr(runs, "_over", Event())
    with ThreadPoolExecutor(1) as pool:
        judged = pool.submit(judge, part, twice=True)
        while not runs._running:
            time.sleep(0.01)
        runs.end_all()
        problem = judged.exception(60)

    assert isinstance(problem, OSError)  # of the run that was ended, or of one that may not begin
    assert not runs._running
