"""Completion, in the shells themselves: what is typed, a tab, and what the command would have got.

The command is a shell function that prints its arguments, so nothing of keptalive is run.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import keptalive.cli
from support import require

FILES = Path(keptalive.cli.__file__).parent / "completions"
PATIENCE = 60.0  # s for a shell on a busy machine

# What is typed before the tab, and what the command's arguments are afterwards.
UNIQUE = [
    ("pr", ["probe"]),
    ("ps --unp", ["ps", "--unprotected"]),
    ("ps --no-o", ["ps", "--no-owner"]),
    ("lab fau", ["lab", "faults"]),
    ("lab run --eng", ["lab", "run", "--engine"]),
    ("lab run --engine rel", ["lab", "run", "--engine", "relay"]),
    ("demo --policy forti", ["demo", "--policy", "fortigate"]),
    ("lab run --fault idle-dr", ["lab", "run", "--fault", "idle-drop"]),
    ("lab relay --fault cisco", ["lab", "relay", "--fault", "cisco-asa"]),
    ("lab run --fault idle-drop:5,outa", ["lab", "run", "--fault", "idle-drop:5,outage"]),
    ("lab relay --fault blackhole@5,nat-r", ["lab", "relay", "--fault", "blackhole@5,nat-rebind"]),
    ("completion fi", ["completion", "fish"]),
    ("run --policy cisco", ["run", "--policy", "cisco-asa"]),
    ("run --summary some-uniq", ["run", "--summary", "some-unique-file"]),
    ("run -- own-unique-prog", ["run", "--", "own-unique-program"]),
    ("run own-unique-prog", ["run", "own-unique-program"]),
    ("run --policy 60:15:9 -v own-unique-prog", ["run", "--policy", "60:15:9", "-v", "own-unique-program"]),
    (
        "lab run --fault idle-drop:5,outage@2-3 -- own-unique-prog",
        ["lab", "run", "--fault", "idle-drop:5,outage@2-3", "--", "own-unique-program"],
    ),
    (
        "lab run --fault idle-drop:5 -- own-unique-prog",
        ["lab", "run", "--fault", "idle-drop:5", "--", "own-unique-program"],
    ),
    ("ps --process own-unique-pro", ["ps", "--process", "own-unique-proc"]),
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with a file, a program on the PATH, and a process, each of a name of its own."""
    (tmp_path / "some-unique-file").touch()
    program = tmp_path / "bin" / "own-unique-program"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    sleeper = tmp_path / "own-unique-proc"
    shutil.copy(Path("/bin/sleep").resolve(), sleeper)
    with subprocess.Popen([sleeper, "600"]) as process:
        yield tmp_path
        process.kill()


def shell_environment(place: Path) -> dict[str, str]:
    return {
        "PATH": f"{place / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(place),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self, argv: Sequence[str], place: Path) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            argv,
            cwd=place,
            env=shell_environment(place),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, pattern: str) -> re.Match[str]:
        """Return the first match in what the shell prints from now on."""
        seen, deadline = "", time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.master], [], [], 1)
            if ready:
                seen += os.read(self.master, 65536).decode("utf-8", "replace")
                found = re.search(pattern, seen, re.DOTALL)
                if found:
                    return found
        raise AssertionError(f"the shell never printed {pattern}; it printed {seen!r}")


@contextmanager
def shell(argv: Sequence[str], place: Path, *setting: str) -> Iterator[Terminal]:
    terminal = Terminal(argv, place)
    try:
        for line in setting:
            terminal.type(f"{line}\n")
        terminal.type("printf 'rea%s\\n' dy\n")
        terminal.read_until(r"ready\r?\n")
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)


def completed(terminal: Terminal, typed: str) -> list[str]:
    """Type a command line, a tab and Return; return the arguments of the command."""
    terminal.type(f"keptalive {typed}\t\n")
    found = terminal.read_until(r"\r\n\{([^\r]*)\}\r\n")
    return found[1].split("|")


BASH = ["bash", "--norc", "--noprofile", "-i"]
ZSH = ["zsh", "-f", "-i"]
STUB = "keptalive() { local IFS='|'; printf '{%s}\\n' \"$*\"; }"


COMPINIT = "unsetopt beep; autoload -Uz compinit && compinit -u -D"
ZSH_INSTALLED = (f"fpath=({FILES} $fpath)", COMPINIT, STUB)


def bash_with(*more: str) -> tuple[str, ...]:
    return (STUB, "bind 'set bell-style none'", *more, f"source {FILES / 'keptalive.bash'}")


def test_bash(place: Path) -> None:
    """Each case, in a bash without the package bash-completion."""
    with shell(BASH, place, *bash_with()) as terminal:
        for typed, expected in UNIQUE:
            assert (typed, completed(terminal, typed)) == (typed, expected)
        assert completed(terminal, "demo --engine=rel") == ["demo", "--engine=relay"]


def test_bash_with_its_package(place: Path) -> None:
    """The same where bash-completion completes the other program's words."""
    package = Path("/usr/share/bash-completion/bash_completion")
    require(package.exists(), "bash-completion is not installed")
    with shell(BASH, place, *bash_with(f"source {package}")) as terminal:
        for typed, expected in UNIQUE:
            assert (typed, completed(terminal, typed)) == (typed, expected)


def test_zsh(place: Path) -> None:
    """Each case, with the function found in fpath, as it is installed."""
    require(shutil.which("zsh"), "zsh is not installed")
    with shell(ZSH, place, *ZSH_INSTALLED) as terminal:
        for typed, expected in UNIQUE:
            assert (typed, completed(terminal, typed)) == (typed, expected)
        assert completed(terminal, "demo --engine=rel") == ["demo", "--engine=relay"]


def test_zsh_sourced(place: Path) -> None:
    """`source <(keptalive completion zsh)` does as well."""
    require(shutil.which("zsh"), "zsh is not installed")
    with shell(ZSH, place, COMPINIT, f"source {FILES / '_keptalive'}", STUB) as terminal:
        assert completed(terminal, "ps --unp") == ["ps", "--unprotected"]


def fish_offers(place: Path, typed: str) -> list[str]:
    """Return what fish offers for a command line."""
    done = subprocess.run(
        [
            "fish",
            "--no-config",
            "-c",
            'source $argv[1]; complete -C "keptalive $argv[2]"',
            FILES / "keptalive.fish",
            typed,
        ],
        cwd=place,
        env=shell_environment(place),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


def test_fish(place: Path) -> None:
    """Each case, as fish itself answers."""
    require(shutil.which("fish"), "fish is not installed")
    for typed, expected in UNIQUE:
        assert (typed, fish_offers(place, typed)) == (typed, [expected[-1]])


NOT_OURS = "run -- own-unique-program --pol"


def test_another_programs_options_are_not_ours_in_bash(place: Path) -> None:
    """After the program's name, `--pol` is no option of keptalive."""
    with shell(BASH, place, *bash_with()) as terminal:
        assert completed(terminal, NOT_OURS) == NOT_OURS.split()


def test_another_programs_options_are_not_ours_in_zsh(place: Path) -> None:
    """The same in zsh."""
    require(shutil.which("zsh"), "zsh is not installed")
    with shell(ZSH, place, *ZSH_INSTALLED) as terminal:
        assert completed(terminal, NOT_OURS) == NOT_OURS.split()


def test_another_programs_options_are_not_ours_in_fish(place: Path) -> None:
    """The same in fish; without a program, `--pol` is ours."""
    require(shutil.which("fish"), "fish is not installed")

    assert fish_offers(place, NOT_OURS) == []
    assert fish_offers(place, "run --pol") == ["--policy"]


def test_bash_expands_nothing_that_another_process_says(place: Path) -> None:
    """A process that calls itself $(...) is a name like any other."""
    mark = place / "mark"
    renamed = "ctypes.CDLL(None).prctl(15, b'zown$(>mark)')"  # PR_SET_NAME
    code = f"import ctypes, sys; {renamed}; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with shell(BASH, place, *bash_with()) as terminal:
            given = completed(terminal, "ps --process zow")

    assert given == ["ps", "--process", "zown$(>mark)"]
    assert not mark.exists()


def _pids_in_bash(place: Path, cur: str) -> list[str]:
    code = f"source {FILES / 'keptalive.bash'}; cur={cur}; __keptalive_pids; printf '%s\\n' ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", code], env=shell_environment(place), capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def _pids_in_zsh(place: Path, cur: str) -> list[str]:
    code = f"compdef() {{ }}; source {FILES / '_keptalive'}; _keptalive_places"
    done = subprocess.run(
        ["zsh", "-f", "-c", code], env=shell_environment(place), capture_output=True, text=True, check=True
    )
    return [line.removeprefix("/proc/") for line in done.stdout.split() if line.startswith(f"/proc/{cur}")]


def _pids_in_fish(place: Path, cur: str) -> list[str]:
    return fish_offers(place, f"attach {cur}")


@pytest.mark.parametrize(
    ("shell_name", "offered"), [("bash", _pids_in_bash), ("zsh", _pids_in_zsh), ("fish", _pids_in_fish)]
)
def test_only_processes_that_run_a_program_are_offered(
    shell_name: str, offered: Callable[[Path, str], list[str]], place: Path
) -> None:
    """Not one that has ended and was not waited for, which has no more of one than the kernel's threads."""
    require(shutil.which(shell_name), f"{shell_name} is not installed")
    with (
        subprocess.Popen([place / "own-unique-proc", "600"]) as running,
        subprocess.Popen(["true"]) as ended,
    ):
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        try:
            found = [offered(place, str(process.pid)) for process in (running, ended)]
        finally:
            running.kill()

    assert str(running.pid) in found[0]
    assert str(ended.pid) not in found[1]


def test_the_line_for_bashrc(place: Path) -> None:
    """A shell that finds no keptalive begins without a word."""
    help_ = subprocess.run(
        [sys.executable, "-m", "keptalive", "completion", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    ).stdout
    line = help_[help_.index("echo '") : help_.index("  zsh ")]
    for command in (line, ". .bashrc"):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=place,
            env=shell_environment(place),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("", "")

    assert "keptalive completion bash" in (place / ".bashrc").read_text()


@pytest.mark.parametrize(
    ("shell_name", "file"), [("bash", "keptalive.bash"), ("zsh", "_keptalive"), ("fish", "keptalive.fish")]
)
def test_the_command_prints_the_file(shell_name: str, file: str) -> None:
    """`keptalive completion SHELL` prints what is installed."""
    done = subprocess.run(
        [sys.executable, "-m", "keptalive", "completion", shell_name],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )

    assert done.stdout == (FILES / file).read_text()
