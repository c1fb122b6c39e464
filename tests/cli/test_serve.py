"""`keptalive serve` as its user runs it: loopback alone unless told otherwise, ended by a signal."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keptalive.cli.exits import Exit
from support import clean_environment


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "keptalive", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_answer_end(number: signal.Signals) -> None:
    """It says where it listens and what to run there, answers, and ends in peace."""
    with serving() as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"Listening at (127\.0\.0\.1:\d+)\. At the near end of the path: keptalive probe \1\n", line
        )
        assert found
        with urllib.request.urlopen(f"http://{found[1]}/sleep/0.1") as response:
            assert response.read() == b"slept 0.1\n"
        process.send_signal(number)
        assert process.stdout.read() == "Served 1 connection.\n"
        assert process.stderr.read() == ""
        assert process.wait(20) == Exit.OK


def test_for_programs() -> None:
    """Where it listens, as JSON, before anything else."""
    with serving("--json", "--host", "::1") as process:
        assert process.stdout is not None
        text = ""
        while "}" not in text:
            text += process.stdout.readline()
        (address,) = json.loads(text)["addresses"]
        assert address.startswith("[::1]:")
        process.terminate()
        assert process.stdout.read() == ""
        assert process.wait(20) == Exit.OK


@pytest.mark.parametrize(
    "arguments",
    [["--host", "192.0.2.1"], ["--host", "nothing.invalid"], ["--max-sleep", "0"], ["--port", "x"]],
)
def test_bad_input(arguments: list[str]) -> None:
    """One sentence and exit code 2."""
    with serving(*arguments) as process:
        out, complaint = process.communicate(timeout=20)

    assert (process.returncode, out) == (Exit.USAGE, "")
    assert complaint
    assert "Traceback" not in complaint
