"""`keptalive lab`: a command behind the firewall, its exit code and its signals its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keptalive.lab.faults import ENGINES
from keptalive.presets import PRESETS
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


def lab(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command as its user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "keptalive", "lab", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean_environment(), **variables},
    )


RUN_ASK = ("--", sys.executable, "-c", ASK)
RUNS = {
    **{(engine, client): ("--fault", "idle-drop:2", "--engine", engine, *RUN_ASK, client, patience)
       for engine in ENGINES for client, patience in (("held", "60"), ("plain", "8"))},
    "packets": ("--fault", "gateway-timeout:3", "--trace", *RUN_ASK, "held", "60"),
    "no packets": ("--fault", "idle-reset:2", "--trace", "--engine", "relay", *RUN_ASK, "plain", "8"),
    "no record": ("--fault", "idle-reset:2", "--trace", "--engine", "kernel", "--", "true"),
}  # fmt: skip
Run = Callable[[Any], tuple[int, str]]


@pytest.fixture(scope="module")
def ended() -> Iterator[Run]:
    """Start all that have to wait, at once; return a function that waits for one: exit code, stderr."""
    running = {name: lab("run", *arguments) for name, arguments in RUNS.items()}

    def wait(name: Any) -> tuple[int, str]:
        _, said = running[name].communicate(timeout=100)
        return running[name].returncode, said

    yield wait
    for process in running.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.lab
def test_a_held_command_is_answered_and_a_plain_one_is_not(ended: Run, engine: str) -> None:
    """The firewall stands between KEPTALIVE_LAB_URL and the command."""
    held, said = ended((engine, "held"))
    assert (held, f", {engine} engine" in said) == (0, True)

    plain, said = ended((engine, "plain"))
    assert plain == 1
    assert said.strip().endswith("timed out")


@pytest.mark.lab
def test_the_trace_shows_the_packets_that_mattered(ended: Run) -> None:
    """From the packet engine, unless another is asked for: when, what, whose, from where to where."""
    _, said = ended("packets")
    lines = [line.split(maxsplit=4) for line in said.splitlines() if re.match(r" +\d+\.\d{3} s  ", line)]

    assert "gateway-timeout:3, packet engine\n" in said
    assert [row[2:4] for row in lines[:2]] == [["probe", "client"], ["answer", "server"]]
    assert ["closed", "firewall"] in [row[2:4] for row in lines]
    times = [float(row[0]) for row in lines]
    assert times == sorted(times)
    assert 0.9 < times[0] < 3
    assert re.fullmatch(r"10\.99\.1\.2:\d+ > 10\.99\.2\.2:8080", lines[0][4])
    assert "passed" not in said


@pytest.mark.lab
def test_an_engine_without_packets_says_so(ended: Run) -> None:
    """The kernel keeps no record, the relay one of connections."""
    assert "there is nothing to trace; --engine packet shows packets" in ended("no record")[1]
    _, said = ended("no packets")
    assert "the relay sees connections, not packets" in said
    assert re.search(r"\d s  expired  ", said)


def test_the_exit_code_is_the_commands() -> None:
    """Its own, 128 and the signal; 127 for what is not there, 126 for no program, 2 for no fault."""
    shell = ("run", "--engine", "relay", "--", "sh", "-c")
    cases = {
        7: lab(*shell, "exit 7"),
        128 + 15: lab(*shell, "kill -TERM $$"),
        127: lab("run", "--engine", "relay", "--", "/no/such/program"),
        126: lab("run", "--engine", "relay", "--", "/dev/null"),
        2: lab("run", "--fault", "idle-pop:5", "--", "true"),
    }
    ended = {
        code: (process.communicate(timeout=60)[1], process.returncode) for code, process in cases.items()
    }

    assert {code: returned for code, (_, returned) in ended.items()} == {code: code for code in cases}
    assert "No such file or directory" in ended[127][0]
    assert "there is no fault 'idle-pop': did you mean idle-drop:SECONDS?" in ended[2][0]


ECHO = "import json, sys; print(json.dumps(sys.argv[1:]))"
ON_RELAY = ("run", "--engine", "relay")


@pytest.mark.parametrize(
    "arguments", [["a", "--", "b", "--", "-c", "d"], ["--", "--"], ["--fault", "x", "-h"], []]
)
@pytest.mark.parametrize("marks", [["--"], []])
def test_a_command_is_passed_on_untouched(marks: list[str], arguments: list[str]) -> None:
    """Only the first -- is ours, and none is needed."""
    process = lab(*ON_RELAY, *marks, sys.executable, "-c", ECHO, *arguments)

    assert json.loads(process.communicate(timeout=60)[0]) == arguments
    assert process.returncode == 0


def test_a_lab_within_a_lab() -> None:
    """The inner command is the inner lab's."""
    inner = (sys.executable, "-m", "keptalive", "lab", *ON_RELAY, "--", sys.executable, "-c", ECHO, "in")
    process = lab(*ON_RELAY, "--", *inner)

    assert json.loads(process.communicate(timeout=60)[0]) == ["in"]


@pytest.mark.parametrize("nothing", [[], ["--"], ["--fault", "idle-drop:5"]])
def test_without_a_command_it_says_what_is_missing(nothing: list[str]) -> None:
    """No program is an error of usage."""
    process = lab("run", *nothing)

    assert "say what to run: keptalive lab run -- CMD [ARG ...]" in process.communicate(timeout=60)[1]
    assert process.returncode == 2


def test_faults() -> None:
    """Each fault with its engines, each preset with its fault, for people and for programs."""
    text, answer = (
        lab("faults").communicate(timeout=60)[0],
        json.loads(lab("faults", "--json").communicate(timeout=60)[0]),
    )
    rows = {row["fault"]: row for row in answer["faults"]}

    assert rows["idle-drop:SECONDS"]["engines"] == ["kernel", "packet", "relay"]
    assert rows["loss:PROBABILITY"] == {
        "fault": "loss:PROBABILITY",
        "engines": ["packet"],
        "does": "Lose each packet with this PROBABILITY.",
    }
    for row in rows.values():
        assert f"{row['fault']} " in text
        assert row["does"] in text
    presets = {row["preset"]: row for row in answer["presets"]}

    assert presets["aws-nat-gateway"] == {
        "preset": "aws-nat-gateway",
        "fault": "idle-reset:350",
        "engines": ["kernel", "packet", "relay"],
        "title": "AWS NAT Gateway",
    }
    assert list(presets) == [preset.name for preset in PRESETS]
    for row in presets.values():
        assert re.search(rf"^{row['preset']} +{row['fault']} +{re.escape(row['title'])}$", text, re.MULTILINE)


def test_a_speed_divides_the_times_of_a_preset() -> None:
    """350 s at speed 1000; a speed that is none is refused."""
    fast = lab("run", "--fault", "aws-nlb", "--speed", "1000", "--engine", "relay", "--", "true")
    stopped = lab("run", "--speed", "0", "--", "true")

    assert "idle-reset:0.35, relay engine\n" in fast.communicate(timeout=60)[1]
    assert stopped.communicate(timeout=60)[1] == "keptalive: a speed is a number above zero, not 0\n"
    assert (fast.returncode, stopped.returncode) == (0, 2)


def test_an_engine_that_cannot_is_refused_with_those_that_can() -> None:
    """What was asked for makes no sense: exit code 2, as from `lab relay`."""
    refused = lab("run", "--fault", "loss:5%", "--engine", "relay", "--", "true")

    assert "loss is for the packet engine" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 2


@pytest.mark.parametrize("arguments", [["--engine", "kernel"], ["--fault", "loss:0.1"]])
def test_what_this_machine_lacks_is_exit_code_3(arguments: list[str], tmp_path: Path) -> None:
    """Not supported here, with what to install: neither a command line without sense, nor a doubt."""
    (tmp_path / "pyroute2.py").write_text("raise ImportError('not here')\n")
    process = lab("run", *arguments, "--", "true", PYTHONPATH=str(tmp_path))
    said = process.communicate(timeout=60)[1]

    assert process.returncode == 3
    assert said.startswith("keptalive: no lab ")
    assert "pyroute2 is missing" in said or "refused here" in said


def test_a_trace_without_packets_is_the_relays(tmp_path: Path) -> None:
    """Where pyroute2 is missing: why, and what the trace shows instead, and no word about other engines."""
    (tmp_path / "pyroute2.py").write_text("raise ImportError('not here')\n")
    process = lab("run", "--trace", "--", "true", PYTHONPATH=str(tmp_path))
    said = process.communicate(timeout=60)[1]

    assert process.returncode == 0
    assert said.splitlines()[0].startswith("keptalive lab: KEPTALIVE_LAB_URL=http://")
    assert said.splitlines()[1] == (
        "  idle-drop:5, relay engine (pyroute2 is missing: pip install 'keptalive[lab]')"
    )
    assert all(len(line) < 80 for line in said.splitlines()[:2])
    assert "the relay sees connections, not packets" in said
    assert "no lab" not in said
    assert "kernel" not in said
