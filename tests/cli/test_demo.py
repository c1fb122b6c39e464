"""`keptalive demo`: its promise is its exit code, so both outcomes are shown."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from keptalive.cli import demo
from keptalive.cli.exits import Exit
from keptalive.errors import LabError
from keptalive.lab import open_lab
from keptalive.lab.demonstration import Arm, clients_here
from keptalive.policy import Policy
from support import clean_environment, require


def start_demo(*arguments: str) -> subprocess.Popen[str]:
    """Start the command as its user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "keptalive", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


def _kernel_refusal() -> str:
    try:
        open_lab("idle-drop:5", "kernel").close()
    except LabError as error:
        return str(error)
    return ""


@pytest.mark.lab
def test_plain_is_lost_and_held_is_answered_on_both_engines() -> None:
    """The demonstration holds; and with a policy that comes too late, it says that it does not."""
    refusal = _kernel_refusal()
    require(not refusal, refusal)
    kernel, relay = start_demo("--json", "--engine", "kernel"), start_demo("--json", "--engine", "relay")
    late = start_demo("--engine", "kernel", "--policy", "60:60:100")

    for process, engine in ((kernel, "kernel"), (relay, "relay")):
        out, complaints = process.communicate(timeout=90)
        answer = json.loads(out)
        rows = {(row["client"], row["held"]): row["outcome"] for row in answer["clients"]}

        assert (process.returncode, complaints) == (0, "")
        assert (answer["schema"], answer["engine"], answer["ok"]) == (1, engine, True)
        assert (answer["idle_timeout"], answer["response_after"]) == (5, 10)
        for client in clients_here():
            assert rows[client, False] == "lost"
            assert rows[client, True] == "answered"

    out, _ = late.communicate(timeout=90)
    assert late.returncode == 1
    assert f"0 of {len(clients_here())} held ones got it" in out
    assert "idle 60 s is too long for a firewall that forgets after 5 s" in out
    assert "keepalive (" in out  # the held clients' timers, as netstat shows them
    assert "off (0.00/0/0)" in out  # the plain ones'


def _arms() -> list[Arm]:
    return [
        Arm("http.client", held=False, timer="off (0.00/0/0)", outcome="lost", error="nothing after 14 s"),
        Arm("http.client", held=True, timer="keepalive (0.36/0/0)", outcome="answered", seconds=10.0),
    ]


def test_the_table_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each request, rather than one that is broken in mid-word."""
    wide = demo._as_text(_arms())
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    narrow = demo._as_text(_arms())
    monkeypatch.setenv("COLUMNS", "120")

    assert max(map(len, narrow.splitlines())) <= 80 < max(map(len, wide.splitlines())) <= demo._WIDTH
    assert [line.split()[:2] for line in narrow.splitlines()[1:]] == [
        ["http.client", "plain"],
        ["http.client", "held"],
    ]
    assert demo._as_text(_arms()) == wide


def test_the_scene_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reason the lab has for its engine."""
    reason = "the first engine that can do idle-drop and works here"
    lab = SimpleNamespace(engine="kernel", engine_reason=reason)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(demo, "clients_missing", lambda: ["requests", "httpx", "aiohttp"])
    engine = demo._scene(lab, Policy()).splitlines()[3:]  # type: ignore[arg-type]

    assert " ".join(engine).startswith(f"Engine: kernel ({reason}).")
    assert max(map(len, engine)) <= 60


def test_what_is_not_shown_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that are not installed, and a default policy that does not hold here."""
    monkeypatch.delenv("KEPTALIVE_POLICY", raising=False)
    monkeypatch.setattr(demo, "clients_missing", list)
    assert list(demo._notes()) == []

    monkeypatch.setattr(demo, "clients_missing", lambda: ["requests", "httpx"])
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")
    assert list(demo._notes()) == [
        "Not installed here, so not shown: requests, httpx.",
        "KEPTALIVE_POLICY=off is ignored here: the clients run without it.",
    ]


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The table as far as it is known, and exit code 130."""

    def until_then(lab: object, policy: Policy, seconds: float, watch: demo.Watch) -> list[Arm]:
        watch([Arm("urllib", held=False, timer="off (0.00/0/0)"), *_arms()[1:]], 4.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "demonstrate", until_then)
    monkeypatch.setattr(demo, "open_lab", _no_lab)

    assert demo.run(argparse.Namespace(policy=None, engine=None, json=False)) == Exit.INTERRUPTED
    said = capsys.readouterr().out
    assert said.endswith("\n\nInterrupted.\n")
    assert "off (0.00/0/0)  waiting" in said
    assert "answered after 10.0 s" in said


@contextmanager
def _no_lab(fault: str, engine: str | None) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(engine="none", engine_reason="a test")
