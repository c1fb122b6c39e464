"""`keptalive lab`: a command behind the firewall, its exit code and its signals its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support import clean_environment

ASK = """
import os, sys, keptalive, http.client
from urllib.parse import urlsplit
where = urlsplit(os.environ["KEPTALIVE_LAB_URL"]).netloc
connection = http.client.HTTPConnection(where, timeout=float(sys.argv[2]))
if sys.argv[1] == "held":
    keptalive.hold(connection, keptalive.Policy(1, 1, 9))
connection.request("GET", "/sleep/5")
sys.exit(0 if connection.getresponse().read() else 9)
"""


def lab(*arguments: str) -> subprocess.Popen[str]:
    """Start the command as its user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "keptalive", "lab", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


@pytest.mark.parametrize("engine", ["kernel", "relay"])
@pytest.mark.lab
def test_a_held_command_is_answered_and_a_plain_one_is_not(engine: str) -> None:
    """The firewall stands between KEPTALIVE_LAB_URL and the command."""
    start = ("run", "--fault", "idle-drop:2", "--engine", engine, "--", sys.executable, "-c", ASK)
    held, plain = lab(*start, "held", "60"), lab(*start, "plain", "12")
    held_said, plain_said = held.communicate(timeout=90)[1], plain.communicate(timeout=90)[1]

    assert (held.returncode, f"on the {engine} engine" in held_said) == (0, True)
    assert plain.returncode == 1
    assert plain_said.strip().endswith("timed out")


def test_the_exit_code_is_the_commands() -> None:
    """Its own, 128 and the signal, 127 for what is not there, 2 for what is no fault."""
    shell = ("run", "--engine", "relay", "--", "sh", "-c")
    cases = {
        7: lab(*shell, "exit 7"),
        128 + 15: lab(*shell, "kill -TERM $$"),
        127: lab("run", "--engine", "relay", "--", "/no/such/program"),
        2: lab("run", "--fault", "idle-pop:5", "--", "true"),
    }
    ended = {
        code: (process.communicate(timeout=60)[1], process.returncode) for code, process in cases.items()
    }

    assert {code: returned for code, (_, returned) in ended.items()} == {code: code for code in cases}
    assert "No such file or directory" in ended[127][0]
    assert "there is no fault 'idle-pop': known are idle-drop:SECONDS" in ended[2][0]


def test_faults() -> None:
    """Each fault with its engines, for people and for programs."""
    text, answer = (
        lab("faults").communicate(timeout=60)[0],
        json.loads(lab("faults", "--json").communicate(timeout=60)[0]),
    )

    assert "idle-drop:SECONDS" in text
    assert answer["faults"][0]["engines"] == ["kernel", "packet", "relay"]
