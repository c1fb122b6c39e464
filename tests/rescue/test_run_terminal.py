"""At a terminal: what a shell, its keys and its job control do to a program is the same under `run`."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from support import clean_environment, require

RUN = f"{sys.executable} -m keptalive run -- "
PATIENCE = 30.0

#: Counts what it gets of Ctrl-C, ends by Ctrl-\\, and tells whether it has a terminal.
HANDLER = (
    "trap 'echo interrupted' INT; echo ready; test -t 0 && test -t 1 && echo terminal; "
    "while :; do sleep 0.1; done"
)


class Terminal:
    """A terminal with an interactive shell in it."""

    def __init__(self) -> None:
        self.shown = ""
        self._read = 0
        environment = {**clean_environment(), "PS1": "PROMPT> ", "TERM": "dumb"}
        pid, self._side = pty.fork()
        if pid == 0:
            for number in (signal.SIGPIPE, signal.SIGHUP):  # Python ignores the one, nohup the other
                signal.signal(number, signal.SIG_DFL)  # as a terminal's shell has them
            options = ["--norc", "--noprofile", "--noediting", "-i"]
            os.execve(shutil.which("bash") or "", ["bash", *options], environment)
        self._pid: int | None = pid

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._side, keys.encode())

    def expect(self, pattern: str) -> str:
        """Wait until *pattern* is shown after what was expected last; return its first group, or all."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.compile(pattern).search(self.shown, self._read)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.shown[self._read :]!r}"
            if select.select([self._side], [], [], 0.1)[0]:
                self.shown += os.read(self._side, 65536).decode(errors="replace")
        self._read = found.end()
        return found[1] if found.re.groups else found[0]

    def run(self, command: str) -> None:
        """Give the shell a command line."""
        self.expect("PROMPT> ")
        self.type(f"{command}\n")

    def close(self) -> None:
        """Hang up, if that was not done."""
        if self._pid is not None:
            os.close(self._side)
            os.waitpid(self._pid, 0)
            self._pid = None


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Offer a terminal."""
    require(shutil.which("bash"), "bash is not installed")
    opened = Terminal()
    yield opened
    opened.close()


@pytest.fixture(params=["", RUN], ids=["plain", "run"])
def wrapper(request: pytest.FixtureRequest) -> str:
    """Each test runs plain, as its own control, and under `run`."""
    prefix: str = request.param
    return prefix


def status(terminal: Terminal) -> str:
    """Return the exit status of the last command."""
    terminal.run("echo status $?")
    return terminal.expect(r"status (\d+)")


def test_ctrl_c(terminal: Terminal, wrapper: str) -> None:
    """Ends a program, as a signal: 130."""
    terminal.run(f"{wrapper}sh -c 'echo ready; exec sleep 60'")
    terminal.expect("\nready")
    terminal.type("\x03")

    assert status(terminal) == "130"


def test_handled_ctrl_c_and_ctrl_backslash(terminal: Terminal, wrapper: str) -> None:
    """A program with a handler gets each Ctrl-C once, and has the terminal as its input and output."""
    terminal.run(f'{wrapper}sh -c "{HANDLER}"')
    terminal.expect("\nready\r\nterminal")
    for _ in range(2):
        terminal.type("\x03")
        terminal.expect("interrupted")
    terminal.type("\x1c")
    shown = terminal.expect(r"(?s)(.*)PROMPT> ")

    assert "interrupted" not in shown
    terminal.type("echo status $?\n")
    assert terminal.expect(r"status (\d+)") == "131"


def test_ctrl_z_and_jobs(terminal: Terminal, wrapper: str) -> None:
    """Stopped, listed, brought back, put into the background, waited for: one job, the program's process."""
    terminal.run(f"{wrapper}sh -c 'echo ready $$; read line; echo got $line; exit 9'")
    pid = terminal.expect(r"\nready (\d+)")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.run("jobs -p")
    assert terminal.expect(r"\n(\d+)\r") == pid
    terminal.run("fg")
    terminal.expect("sh -c")
    terminal.type("a line\n")
    terminal.expect("got a line")
    assert status(terminal) == "9"

    terminal.run(f"{wrapper}sh -c 'exit 5' & wait $!")
    assert status(terminal) == "5"


@pytest.mark.parametrize(
    ("command", "expected"), [("sh -c 'kill -SEGV $$'", "139"), ("sh -c 'exit 3'", "3"), ("false", "1")]
)
def test_statuses(terminal: Terminal, wrapper: str, command: str, expected: str) -> None:
    """As the shell reports them."""
    terminal.run(f"{wrapper}{command}")

    assert status(terminal) == expected


def test_a_pipeline(terminal: Terminal, wrapper: str) -> None:
    """In the middle of one: input, output, and the signal that ends a writer whose reader has gone."""
    terminal.run(f"yes | {wrapper}cat | head -2; echo ${{PIPESTATUS[@]}}")

    assert terminal.expect(r"\ny\r\ny\r\n(.*)\r\n") == "141 141 0"


def test_hanging_up(terminal: Terminal, wrapper: str) -> None:
    """The program gets SIGHUP when the terminal goes, and ends with it."""
    terminal.run(f"{wrapper}sh -c 'echo ready $$; exec sleep 60'")
    pid = int(terminal.expect(r"\nready (\d+)"))
    held = os.pidfd_open(pid)
    terminal.close()
    ended = select.select([held], [], [], PATIENCE)[0]
    os.close(held)

    assert ended
