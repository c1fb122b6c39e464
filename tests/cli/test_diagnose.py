"""`keptalive diagnose` as its user runs it: what it prints, what programs get, what Ctrl-C leaves."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.servers import Origin
from diagnosis.specimens import SHAPE, arm, evidence
from keptalive.cli import diagnose as verb
from keptalive.cli.exits import Exit
from keptalive.diagnosis.evidence import Evidence, Timers
from keptalive.diagnosis.fates import Fate
from keptalive.diagnosis.session import EAGER
from keptalive.diagnosis.wording import conclude
from keptalive.lab import Lab, open_lab
from support import clean_environment

SECRET = "MARKERMARKERMARKERMARKERMARKER"


def keptalive(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keptalive", "diagnose", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=clean_environment(),
        **more,
    )


def start(lab: Lab, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start the command at the near end of a lab's path."""
    return lab.popen(
        [sys.executable, "-m", "keptalive", "diagnose", *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=clean_environment(),
    )


@pytest.fixture(scope="module")
def forgetful() -> Iterator[Lab]:
    """Open a path that forgets after three seconds, without any right."""
    with open_lab("idle-drop:3", "relay") as lab:
        yield lab


def test_for_people_and_for_programs(forgetful: Lab, tmp_path: Path) -> None:
    """The verdict, what was seen, what to do, the lines that do it; exit code 1: something is wrong."""
    url, output = f"{forgetful.url}/sleep/6?key={SECRET}", tmp_path / "answer"
    text = start(forgetful, url, "-o", str(output), "-H", f"Cookie: {SECRET}")
    machine = start(forgetful, url, "--json", "-H", f"Cookie: {SECRET}")
    out, complaint = text.communicate(timeout=100)
    raw = machine.communicate(timeout=100)[0]
    answer = json.loads(raw)

    assert (text.returncode, machine.returncode) == (Exit.PROBLEM, Exit.PROBLEM)
    assert "Traceback" not in complaint
    assert SECRET not in out + complaint + raw
    assert out.startswith(f"GET {forgetful.url}/sleep/6?…: forgotten-silently\nThe path forgets")
    assert "\n  Held (1:1:15): answered with status 200 after 6." in out
    assert "\nDoes keepalive help: yes, with --policy 1:1:9, in Python keptalive.Policy(idle=1, " in out
    assert "session = keptalive.hold(requests.Session(), policy)" in out
    assert "keptalive run --policy 1:1:9 -- COMMAND" in out
    assert output.read_text() == "slept 6\n"
    assert answer["schema"] == 1
    assert answer["verdict"] == "forgotten-silently"
    assert answer["keepalive_helps"] is True
    assert answer["policy"] == "1:1:9"
    assert answer["also_possible"] == []
    assert [(arm["held"], arm["outcome"]) for arm in answer["arms"]] == [
        (False, "pending"),
        (True, "answered"),
    ]
    assert answer["arms"][0]["pokes"][-1]["reply"] == "silent"
    assert answer["evidence"]["control"]["probes"] == "answered"
    assert answer["evidence"]["ladder"]["dead_at"] >= 3


def test_nothing_wrong() -> None:
    """Exit code 0."""
    with Origin() as origin:
        done = keptalive(origin.url("/"))

    assert done.returncode == Exit.OK
    assert "slow-server" in done.stdout
    assert done.stderr == ""


def test_no_answer_in_time() -> None:
    """Exit code 5: nothing is lost so far, and nothing was told."""
    with Origin() as origin:
        done = keptalive(origin.url("/wait"), "--timeout", "1.5", "--connections", "0")

    assert done.returncode == Exit.UNKNOWN
    assert "No answer came in 1.5 s, the time given" in done.stdout
    assert "Does keepalive help: not told." in done.stdout


def until(terminal: int, word: str) -> str:
    """Read what is shown on a terminal until a word comes."""
    shown = ""
    while word not in shown:
        shown += os.read(terminal, 1024).decode()
    return shown


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_interrupted(how: list[str]) -> None:
    """Progress is one line of the terminal; Ctrl-C prints what is known so far."""
    ours, theirs = os.openpty()
    with open_lab("idle-drop:600", "relay") as lab:
        process = start(lab, f"{lab.url}/sleep/100", *how, stderr=theirs)
        os.close(theirs)
        shown = until(ours, "alive after")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=100)
    os.close(ours)

    assert process.returncode == Exit.INTERRUPTED
    assert "Traceback" not in shown
    assert "\n" not in shown
    assert "plain waiting; held waiting" in shown
    if how:
        answer = json.loads(out)
        assert answer["evidence"]["interrupted"] is True
        assert answer["verdict"] == "cannot-tell"
    else:
        assert "Interrupted after" in out
        assert "Plain: no answer in" in out
        assert "Interrupted; let it run until an answer comes" in out
        assert "--timeout" not in out


def test_nobody_there() -> None:
    """A result, exit code 1, in JSON too."""
    text, machine = keptalive("http://127.0.0.1:9/"), keptalive("http://127.0.0.1:9/", "--json")

    assert (text.returncode, machine.returncode) == (Exit.PROBLEM, Exit.PROBLEM)
    assert "There is no connection to be had (Connection refused)." in text.stdout
    assert json.loads(machine.stdout)["verdict"] == "unreachable"


def test_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences are broken where the terminal ends, not by it."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = verb.as_text(conclude(Evidence(SHAPE, None, None)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert verb.as_text(conclude(Evidence(SHAPE, None, None))) == lines  # as COLUMNS says
    monkeypatch.delenv("COLUMNS")
    wide = verb.as_text(conclude(Evidence(SHAPE, None, None)))

    assert max(len(part) for line in lines for part in line.split("\n")) <= 60 < max(map(len, wide))


def test_code_is_broken_as_python_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within brackets; where that is not to be had, or nothing limits it, a line stays whole."""
    found = conclude(evidence(arm(Fate.DEAD_SILENT), arm(Fate.ANSWERED, EAGER)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    def code(columns: str) -> list[str]:
        monkeypatch.setenv("COLUMNS", columns)
        lines = verb.as_text(found)
        return lines[lines.index("In code") + 1 :]

    width = code("500")[0].index("policy = ")
    for columns in ("80", "100", "60"):
        lines = code(columns)
        joined = "".join(line[width:] + "\n" for line in lines if "COMMAND" not in line)
        assert [ast.unparse(node) for node in ast.parse(joined).body] == [
            ast.unparse(node) for node in ast.parse("\n".join([*found.code.values()][:-1])).body
        ]
        assert any(line.startswith(" " * (width + 4)) for line in lines)
        assert columns == "60" or max(map(len, lines)) <= int(columns)
    assert len(code("500")) == len(found.code)


def test_could_not_be_told() -> None:
    """Exit code 5 where the evidence fits more than one cause."""
    diagnosis = conclude(Evidence(SHAPE, None, None))

    assert verb.exit_for(diagnosis) is Exit.UNKNOWN
    assert "Does keepalive help: not told." in verb.as_text(diagnosis)


def test_what_exactly_makes_no_sense() -> None:
    """Whose host, which port, which scheme, which figure."""
    with Origin() as origin:
        plain = keptalive(origin.url("/").replace("http:", "https:"))
    proxy = keptalive("http://127.0.0.1:9/", "--proxy", "nothing.invalid")

    assert "http:// instead of https://?" in plain.stderr
    assert "the proxy cannot be found: there is no host 'nothing.invalid'" in proxy.stderr
    for text, url in (
        ("example.org", "https://example.org?"),
        ("example.org:8443/a?key=MARKER", "https://example.org:8443?"),
        ("localhost:8000/a", "http://localhost:8000?"),
    ):
        bare = keptalive(text)
        assert bare.returncode == Exit.USAGE
        assert f"did you mean {url}" in bare.stderr
        assert "MARKER" not in bare.stderr
    assert "did you mean" not in keptalive(f"user:{SECRET}@example.org/").stderr
    assert "goes into a file, not to stdout" in keptalive("http://127.0.0.1:9/", "-o", "-").stderr
    assert "99999 is not a port" in keptalive("http://127.0.0.1:99999/").stderr
    assert "99999" not in keptalive("http://user:99999/secret@127.0.0.1/").stderr
    assert "a number of seconds, not 'abc'" in keptalive("http://127.0.0.1:9/", "--timeout", "abc").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://nothing.invalid/"],
        ["nonsense"],
        ["http://127.0.0.1:99999/"],
        ["http://127.0.0.1:9/", "--proxy", "nothing.invalid"],
        ["http://127.0.0.1:9/", "-H", f"no colon {SECRET}"],
        ["http://127.0.0.1:9/", "-H", "@/nonexistent"],
        ["http://127.0.0.1:9/", "-d", "@/nonexistent"],
        ["http://127.0.0.1:9/", "-X", "GE T"],
        ["http://127.0.0.1:9/", "--policy", "1:2"],
        ["http://127.0.0.1:9/", "--policy", "0:2:1"],
        ["http://127.0.0.1:9/", "--timeout", "-1"],
        ["http://127.0.0.1:9/", "--cacert", "/nonexistent"],
        ["http://127.0.0.1:9/", "-o", "/nonexistent/file"],
        ["http://127.0.0.1:9/", "--proxy", f"socks5://{SECRET}@127.0.0.1:1"],
    ],
)
def test_what_makes_no_sense(arguments: list[str]) -> None:
    """Exit code 2, one sentence, an object for programs; and no secret repeated."""
    text, machine = keptalive(*arguments), keptalive(*arguments, "--json")

    assert (text.returncode, machine.returncode) == (Exit.USAGE, Exit.USAGE)
    assert text.stderr.startswith("keptalive: ")
    assert "Traceback" not in text.stderr
    assert SECRET not in text.stderr + machine.stdout
    assert json.loads(machine.stdout)["error"]


def test_secrets_and_bodies_from_files(tmp_path: Path) -> None:
    """Headers, one a line, and a body that are in no command line; and what is sent once is said."""
    headers, body = tmp_path / "headers", tmp_path / "body"
    headers.write_text("X-One: 1\n\nAuthorization: Bearer b\n")
    body.write_bytes(b"\0\xff")
    with Origin() as origin:
        done = keptalive(origin.url("/"), "-H", f"@{headers}", "-H", "X-Two: 2", "-d", f"@{body}")
        twice = keptalive(origin.url("/"), "-X", "PUT", "-d", "@-", "--twice", input="from stdin")
        first, *others = origin.requests

    assert (first.method, first.body) == ("POST", b"\0\xff")
    assert [first.headers[name] for name in ("x-one", "authorization", "x-two")] == ["1", "Bearer b", "2"]
    assert (
        "POST may change something, so it is sent once, held; --twice sends it plain as well" in done.stderr
    )
    assert [(request.method, request.body) for request in others] == [("PUT", b"from stdin")] * 2
    assert twice.stderr == ""


def test_policies() -> None:
    """A policy, a preset, or what a program does now, however badly: an interval longer than idle."""
    assert Timers.parse("60:15:9") == Timers(60, 15, 9)
    assert Timers.parse("2:75:9") == Timers(2, 75, 9)
    assert Timers.parse("2:75:9").period == 75
    assert Timers.parse("azure-lb") == Timers(80, 24, 9)
