"""`keptalive demo`: its promise is its exit code, so both outcomes are shown."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from keptalive.errors import LabError
from keptalive.lab import open_lab
from keptalive.lab.demonstration import clients_here
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
