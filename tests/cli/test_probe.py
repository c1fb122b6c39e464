"""`keptalive probe` as its user runs it: what it prints, what programs get, what Ctrl-C leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnosis.report.reading import read
from keptalive.cli import probe as verb
from keptalive.cli.exits import Exit
from keptalive.lab import Lab, open_lab
from keptalive.probing.estimate import Trial
from keptalive.probing.measure import Progress
from keptalive.probing.result import ProbeResult, conclude
from keptalive.probing.signatures import Behaviour, Ended, Evidence
from keptalive.probing.target import parse_target
from support import clean_environment


def start(lab: Lab, *arguments: str, stderr: int = subprocess.PIPE, **more: Any) -> subprocess.Popen[str]:
    """Start the command at the near end of a lab's path, to its slow server."""
    return lab.popen(
        [sys.executable, "-m", "keptalive", "probe", f"{lab.host}:{lab.port}", "--rate", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=clean_environment(),
        **more,
    )


def keptalive(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keptalive", "probe", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=clean_environment(),
    )


@pytest.fixture(scope="module")
def forgetful() -> Iterator[Lab]:
    """Open a path that forgets after three seconds, without any right."""
    with open_lab("idle-drop:3", "relay") as lab:
        yield lab


def test_for_people_and_for_programs(forgetful: Lab) -> None:
    """The same numbers; exit code 1, since the path forgets."""
    text, machine = start(forgetful), start(forgetful, "--json")
    out, complaint = text.communicate(timeout=60)
    answer = json.loads(machine.communicate(timeout=60)[0])

    assert (text.returncode, machine.returncode) == (Exit.PROBLEM, Exit.PROBLEM)
    assert "Traceback" not in complaint
    assert out.startswith(
        f"{forgetful.host}:{forgetful.port}: The path forgets idle connections, and tells nobody."
    )
    assert re.search(r"^  alive after +[23]\.\d\d s idle$", out, re.MULTILINE)
    assert re.search(r"^  dead after +3\.\d\d s idle$", out, re.MULTILINE)
    assert "To keep it open:\n  keptalive run --policy 1:1:9 -- CMD\n" in out
    assert "keptalive.hold(session, keptalive.Policy(idle=1, interval=1, count=9))" in out
    assert complaint.startswith(f"Measuring the path to {forgetful.host}:{forgetful.port}. Ctrl-C prints ")
    assert answer["schema"] == 1
    assert answer["behaviour"] == "silent"
    assert answer["alive_at"] < answer["idle_timeout"] < answer["dead_at"]
    assert answer["dead_at"] >= 3
    assert answer["policy"] == "1:1:9"
    assert answer["connections"] <= 50
    assert answer["interrupted"] is False


def test_what_the_path_allows(forgetful: Lab) -> None:
    """Nothing forgets within two seconds: exit code 0, and no policy: who knows about a minute?"""
    process = start(forgetful, "--max", "2", "--connections", "6")
    out, _ = process.communicate(timeout=60)

    assert process.returncode == Exit.OK
    assert "outlived" in out
    assert "\nLonger silences were not tried: no policy follows from that." in out
    assert "--policy" not in out


def until_alive(terminal: int) -> str:
    """Read what is shown on a terminal until something is proved."""
    shown = ""
    while "alive after" not in shown:
        shown += os.read(terminal, 1024).decode()
    return shown


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_interrupted(how: list[str]) -> None:
    """Progress is one line of the terminal; Ctrl-C prints what is known so far."""
    ours, theirs = os.openpty()
    with open_lab("idle-drop:600", "relay") as lab:
        process = start(lab, *how, stderr=theirs, preexec_fn=_mind_interrupts)
        os.close(theirs)
        shown = until_alive(ours)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    os.close(ours)

    assert process.returncode == Exit.INTERRUPTED
    assert "Traceback" not in shown
    begin, _, line = shown.partition("\r\x1b[K")
    assert begin.startswith("Measuring the path")
    assert "\n" not in line
    if how:
        answer = json.loads(out)
        assert answer["interrupted"] is True
        assert answer["behaviour"] == "unknown"
        assert answer["alive_at"] > 1
        assert answer["dead_at"] is None
        assert answer["policy"] is None
    else:
        assert "interrupted after" in out
        assert "--policy" not in out
        assert re.search(r"^  alive after +\d\.\d\d s idle$", out, re.MULTILINE)


def _mind_interrupts() -> None:
    # A test run in the background of a shell ignores SIGINT, and so would its children.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_nobody_there() -> None:
    """A result, exit code 1, in JSON too."""
    text, machine = keptalive("127.0.0.1:9"), keptalive("127.0.0.1:9", "--json")

    assert (text.returncode, machine.returncode) == (Exit.PROBLEM, Exit.PROBLEM)
    assert text.stdout == "127.0.0.1:9: There is no connection to be had. Connection refused.\n"
    answer = json.loads(machine.stdout)
    assert answer["behaviour"] == "unreachable"
    assert answer["error"] == "Connection refused"
    assert answer["policy"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing.invalid"],
        ["https://example.com/"],
        ["127.0.0.1:http"],
        ["127.0.0.1", "--http", "nowhere"],
        ["127.0.0.1", "--precision", "7"],
        ["[::1:80"],
        ["[::1]80"],
        ["127.0.0.1", "--connections", "1"],
        ["127.0.0.1", "--connections", "1000000"],
        ["127.0.0.1", "--max", "-1"],
        [],
    ],
)
def test_bad_input(arguments: list[str]) -> None:
    """One sentence and exit code 2."""
    done = keptalive(*arguments)

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "Traceback" not in done.stderr
    assert json.loads(keptalive(*arguments, "--json").stdout)["error"]


def result(behaviour: Behaviour, evidence: Evidence, host: str = "example.com") -> ProbeResult:
    return conclude(
        evidence, behaviour, host=host, port=443, address="192.0.2.1:443", connections=49, seconds=66.0
    )


@pytest.mark.parametrize(
    ("behaviour", "evidence", "lines"),
    [
        (
            "silent",
            Evidence([Trial(True, 239.504), Trial(False, 240.996, 4)]),
            [
                "example.com:443 (192.0.2.1:443): The path forgets idle connections, and tells nobody.",
                "  alive after    239.50 s idle",
                "  dead after     241.00 s idle",
                "  timeout        240.25 s, give or take 0.75 s",
                "  measured with  49 connections in 66.0 s",
                "  keptalive run --policy 79:23:9 -- CMD",
                "  keptalive.hold(session, keptalive.Policy(idle=79, interval=23, count=9))",
                "  Azure Load Balancer (240 s, silent)",
            ],
        ),
        (
            "closed-by-peer",
            Evidence(ends=[Ended(60.0, 58.0 - number, "fin") for number in range(4)]),
            ["  closed by the other end after  60.00 s", "  nginx as a reverse proxy"],
        ),
        ("probes-filtered", Evidence(unsettled=9, acknowledged=True), ["Keepalive probes are not answered"]),
        (
            "silent",
            Evidence([Trial(True, 5.4), Trial(True, 5.0), Trial(False, 5.2, 4), Trial(False, 6.0, 4)]),
            [", not sure", "Note: The connections contradict each other"],
        ),
    ],
)
def test_words(behaviour: Behaviour, evidence: Evidence, lines: list[str]) -> None:
    """What is printed of a result, to the letter where it counts."""
    text = "\n".join(verb._as_text(result(behaviour, evidence), interrupted=False))

    for line in lines:
        assert line in text


def test_what_comes_from_outside_is_escaped() -> None:
    """A name cannot act on the terminal."""
    text = "\n".join(verb._as_text(result("outlived", Evidence(), host="evil\x1b[2J"), interrupted=False))

    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (
            Progress(12.3, 700.0, 10.1, None, 11.0, 50),
            "  12 s  alive after 10.1 s, silent for 11 s now; at most 12 min left",
        ),
        (
            Progress(64.0, 3.0, 59.5, 61.0, 60.0, 50),
            "  64 s  alive after 59.5 s, dead after 61.0 s; at most 3 s left",
        ),
        (
            Progress(0.6, 720.0, None, None, 0.0, 50),
            "   1 s  silent for 0 s now; at most 12 min left",
        ),
    ],
)
def test_progress(progress: Progress, line: str) -> None:
    """The bracket closing in, and the time left."""
    assert verb._line(progress) == line


def test_a_line_of_progress_fits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Into 80 columns, and cut off into any narrower terminal: else it would not be overwritten."""
    longest = Progress(31999.0, 31999.0, 31999.9, 31999.9, 31999.0, 50)
    assert len(verb._line(longest)) < 80
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    verb._progress()(longest)

    assert len(capsys.readouterr().err.removeprefix("\r\x1b[K")) == 39


@pytest.mark.parametrize(
    ("text", "said"),
    [("db.example", "db.example (port 443, since none is given)."), ("[::1]:80", "[::1]:80.")],
)
def test_the_port_that_is_taken(text: str, said: str) -> None:
    """Where none is given, it is said which."""
    assert verb._beginning(text, parse_target(text).port).startswith(f"Measuring the path to {said}")


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A line in ten seconds, not twice a second."""
    show = verb._progress()
    for half_seconds in range(1, 60):
        show(Progress(half_seconds / 2, 700.0, None, None, 1.0, 50))

    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_report(forgetful: Lab, tmp_path: Path) -> None:
    """The page says what the command says, in the same figures."""
    path = tmp_path / "report.html"
    command = start(forgetful, "--report", str(path))
    out, _ = command.communicate(timeout=60)
    page = read(path.read_text("utf-8"))

    figures = re.findall(r"\d+\.\d\d s idle|\d+ connections in \S+ s", out)
    assert command.returncode == Exit.PROBLEM
    assert len(figures) == 3
    assert all(figure in page.text for figure in figures)
    assert "tells nobody" in page.text
    assert page.classes["cross"] >= 1


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    """Is told at once: nothing is measured, though nobody would answer there."""
    done = keptalive("192.0.2.1:80", "--report", str(tmp_path / "no" / "report.html"))

    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert "the report cannot be written to" in done.stderr
    assert done.stderr.count("\n") == 1
