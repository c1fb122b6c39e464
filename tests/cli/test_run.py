"""`keptalive run`, its command line; what it does to programs is in tests/rescue."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keptalive.cli.exits import Exit
from keptalive.cli.main import verb_parser
from support import clean_environment


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the verb as its user would."""
    return subprocess.run(
        [sys.executable, "-m", "keptalive", "run", *arguments],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--", "wget", "-q"], ["wget", "-q"]),
        (["wget", "-q", "--policy", "1:1:1"], ["wget", "-q", "--policy", "1:1:1"]),
        (["-v", "--", "git", "log", "--", "a"], ["git", "log", "--", "a"]),
        (["-v", "git", "log", "--", "a"], ["git", "log", "--", "a"]),
        (["--policy", "1:1:1", "--", "--", "a"], ["--", "a"]),
    ],
)
def test_the_command_is_taken_as_it_is(arguments: list[str], command: list[str]) -> None:
    """Whatever its arguments look like; the first "--" is ours, and need not be there."""
    assert verb_parser("run").parse_args(arguments).command == command


@pytest.mark.parametrize("arguments", [[], ["--"], ["-v"], ["--nonsense", "--", "true"]])
def test_wrong_command_lines(arguments: list[str]) -> None:
    """Exit code 2, and a sentence on stderr."""
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "error:" in done.stderr


@pytest.mark.parametrize("policy", ["nonsense", "1:2:3", "99999:1:1", "60:15:999"])
def test_policies_that_cannot_be(policy: str, tmp_path: Path) -> None:
    """Refused before the program is started, those beyond what Linux takes as well."""
    started = tmp_path / "started"
    done = run("--policy", policy, "--", "touch", str(started))

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert done.stderr.startswith("keptalive: ")
    assert not started.exists()


def test_the_policy_of_the_environment() -> None:
    """It is the default, a preset's too; one without sense, or beyond the limits, is ignored, loudly."""
    fine = run("-v", "true", KEPTALIVE_POLICY="50:10:5")
    preset = run("-v", "true", KEPTALIVE_POLICY="azure-lb")
    assert (fine.returncode, preset.returncode) == (0, 0)
    assert "50:10:5" in fine.stderr
    assert "80:24:9" in preset.stderr

    for value, why in (("nonsense", "is not a policy"), ("99999:1:1", "Linux takes for TCP_KEEPIDLE")):
        bad = run("true", KEPTALIVE_POLICY=value)
        assert (bad.returncode, bad.stdout) == (0, "")
        assert bad.stderr.count("KEPTALIVE_POLICY is ignored") == 1
        assert why in bad.stderr


def test_verbose_is_one_line_on_stderr() -> None:
    """And nothing is said without it."""
    quiet, verbose, off = run("true"), run("-v", "true"), run("-v", "true", KEPTALIVE_POLICY="off")

    assert (quiet.stdout, quiet.stderr) == ("", "")
    assert (verbose.stdout, verbose.stderr.count("\n")) == ("", 1)
    assert "protected from outside" in verbose.stderr
    assert "KEPTALIVE_POLICY=off" in off.stderr


@pytest.mark.parametrize("path", ["/dev/null", "/nowhere/summary.json", "."])
def test_files_that_cannot_be_written(path: str) -> None:
    """A device is not replaced by a file, and a folder that is not there is a usage error."""
    done = run("--summary", path, "--", "true")

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert path in done.stderr
    assert not Path("/dev/null").is_file()


def test_names_are_escaped_and_a_closed_stderr_is_not_replaced() -> None:
    """No raw escape sequence reaches a terminal, and no complaint the program's output."""
    hostile = run("\x1b[31mred\x1b[0m")
    command = [sys.executable, "-m", "keptalive", "run", "-v", "--", "echo", "fine"]
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        check=True,
    )

    assert "\x1b" not in hostile.stderr
    assert "\\x1b[31mred" in hostile.stderr
    assert closed.stdout == b"fine\n"


def test_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system, or a Linux that hides /proc, is told so."""
    from keptalive.cli import main

    monkeypatch.setattr(os.path, "exists", lambda path: False)

    assert main.main(["run", "--", "true"]) == Exit.UNSUPPORTED
