"""The command that runs all benchmarks: each figure to reach is in its table. Nothing is timed here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import support
from keptalive.errors import LabError
from keptalive.lab import open_lab

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
#: What the project has set out to reach: what (the beginning), against what (somewhere), the limit.
TO_REACH = [
    ("`import keptalive`", "`import socket`", "at most 5 ms more"),
    ("`keptalive --version`", "`python -c", "at most 1.2 x"),
    ("connection with `install()` on, read back included", "plain", "at most 1.15 x"),
    *(
        (f"requests/s of a held client: {client}", "the same plain", "at least 0.99 x")
        for client in ("http.client", "urllib3", "requests", "httpx", "httpx2", "aiohttp", "pycurl", "openai")
    ),
    ("`ps --json`, owners included", "`ss -tnop`", "at most 0.95 x"),
    ("`ps --json`, owners included", "psutil", "at most 0.7 x"),
    ("`ps --json`, owners included", "pyroute2", "at most 0.15 x"),
    ("`ps --no-owner`", "`ss -tno`", "at most 1.3 x"),
    ("`probe --rate 0`, to 1 %, T = 60 s: seconds", "the true timeout", "at most 1.2 T"),
    ("`probe --rate 0`, T = 60 s", "", "at most 50 connections"),
    ("10,000 held requests that wait: memory", "the same plain", "at most 1.02 x"),
    ("10,000 held requests that wait: CPU time", "the same plain", "at most 1.02 x"),
    ("`lab relay`, bulk", "haproxy", "at least 1 x"),
    ("`lab relay`, requests/s", "haproxy", "at least 1 x"),
    ("`keptalive run -- true`", "`true`", "at most 40 ms more"),
    ("`diagnose`: the latest answer", "1.3 T", "at most 15 s after"),
]


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


figures, rounds = _module("figures"), _module("rounds")


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_every_figure_to_reach_is_in_the_table(tmp_path):
    """One quick run of all: each row is there, with a figure, or with the peer that is not installed."""
    try:
        open_lab("idle-drop:60", "kernel").close()
    except LabError as error:
        support.missing(str(error))
    file = tmp_path / "RESULTS.md"
    command = [sys.executable, str(BENCHMARKS / "all.py"), "--quick", "--output", str(file)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    text = file.read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]
    for what, against, limit in TO_REACH:
        found = [row for row in rows if row[0].startswith(what) and against in row[1] and row[2] == limit]
        assert found, (what, against, limit)
        for row in found:
            assert row[5] != "not measured" or "is not installed" in row[3], (row, done.stderr)
    assert "figures mean nothing" in text
    assert str(Path.home()) not in text
    assert sys.prefix not in text


def test_a_limit_holds_for_the_median_of_the_rounds():
    """Above is no, at the limit is yes; a floor is the other way round."""
    ceiling, floor = figures.Figure("", "", 1.0), figures.Figure("", "", 1.0, at_least=True)

    assert ceiling.measured([0.5, 1.0, 9.0]).verdict == "yes"
    assert ceiling.measured([0.5, 1.1, 9.0]).verdict == "**no**"
    assert floor.measured([0.5, 1.0, 9.0]).verdict == "yes"
    assert floor.measured([0.5, 0.9, 9.0]).verdict == "**no**"


def test_what_is_nearer_to_the_limit_than_the_noise_is_told_as_that():
    """Neither reached nor missed; further away it is missed."""
    figure = figures.Figure("", "", 0.99, at_least=True, digits=3)

    assert figure.measured([0.98], noise=0.02).verdict == "within the noise of 0.020"
    assert figure.measured([0.96], noise=0.02).verdict == "**no**"


def test_a_row_without_its_peer_says_why():
    """It stands in the table with the reason."""
    figure = figures.Figure("us", "them", 1.0).without("them is not installed (apt install them)")

    assert figure.cells() == (
        *("us", "them", "at most 1 x", "them is not installed (apt install them)", "", "not measured"),
    )


def test_findings_come_back_as_they_were_saved(tmp_path):
    """Over the file by which a benchmark hands them on."""
    found = figures.Findings([figures.Figure("us", "them", 1.0).measured([1.5, 2.5])], ["| details |"])

    found.save(tmp_path / "found")

    assert figures.Findings.load(tmp_path / "found") == found


def test_a_benchmark_that_fails_leaves_its_rows(tmp_path, capsys):
    """Each row says so, and the table loses none."""
    rows = (figures.Figure("one", "x", 1.0), figures.Figure("two", "x", 1.0))
    arguments = figures.parser("doc").parse_args(["--json", str(tmp_path / "found")])

    def measure():
        raise AssertionError("not the same connections")

    assert figures.tell(rows, measure, arguments) == 0

    found = figures.Findings.load(tmp_path / "found").figures
    assert [(row.what, row.missing, row.verdict) for row in found] == [
        (name, "failed: AssertionError", "not measured") for name in ("one", "two")
    ]
    assert "not the same connections" in capsys.readouterr().err


def test_rivals_take_turns():
    """Each is asked once a round, beginning with another each time; the first round warms."""
    asked: list[str] = []
    rivals = {name: lambda name=name: asked.append(name) or len(asked) for name in "abc"}

    found = rounds.taking_turns(rivals, 3)

    assert "".join(asked) == "cab" + "abc" + "bca" + "cab"
    assert found == {"a": [4, 9, 11], "b": [5, 7, 12], "c": [6, 8, 10]}


def test_a_part_that_there_is_not_is_refused():
    """And leaves the results of the last run alone."""
    before = (BENCHMARKS / "RESULTS.md").read_bytes()

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "all.py"), "nosuch"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "there is no part nosuch: known are import_cost" in done.stderr
    assert (BENCHMARKS / "RESULTS.md").read_bytes() == before
