"""The command line's frame: help, exit codes, errors for people and for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keptalive import NotPermitted, PolicyError, __version__
from keptalive.cli import main as frame
from keptalive.cli import output
from keptalive.cli.exits import Exit, exit_for
from keptalive.errors import KeptaliveError, LabError, LabNotSupported, NotSupported

LAB_VERBS = [["lab", verb] for verb in ("run", "relay", "faults")]


def keptalive(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its user would."""
    return subprocess.run(
        [sys.executable, "-m", "keptalive", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_version() -> None:
    """--version prints the version."""
    done = keptalive("--version")

    assert (done.returncode, done.stdout) == (0, f"keptalive {__version__}\n")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["prob"], "there is no verb 'prob': did you mean probe?"),
        (["fire"], "there is no verb 'fire': keptalive --help lists them"),
        (["explain"], "there is no verb 'explain': in Python it is keptalive.explain(error)"),
        (["rescue"], "there is no verb 'rescue': that is keptalive attach PID"),
        (["demo", "--policy", "azure-bl"], "did you mean the preset azure-lb?"),
    ],
)
def test_who_mistypes_reads_what_was_probably_meant(typed: list[str], said: str) -> None:
    """One sentence; the exit code of a wrong call."""
    done = keptalive(*typed)

    assert done.returncode == 2
    assert said in done.stderr


def test_without_a_verb() -> None:
    """The help, and the exit code of a wrong call."""
    done = keptalive()

    assert done.returncode == Exit.USAGE
    assert all(verb in done.stdout for verb in frame.VERBS)


@pytest.mark.parametrize("arguments", [[], *([verb] for verb in frame.VERBS), *LAB_VERBS])
def test_help_fits_a_terminal(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 80 columns: usage, descriptions, options, and what follows them."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        frame.main([*arguments, "--help"])
    lines = capsys.readouterr().out.splitlines()

    assert [line for line in lines if len(line) > 80] == []
    assert len(lines) > 5


@pytest.mark.parametrize("verb", frame.VERBS)
def test_every_verb_has_help(verb: str) -> None:
    """Each loads, and each option says what it does."""
    parser = frame.verb_parser(verb)

    assert all(action.help for action in parser._actions)
    assert keptalive(verb, "--help").returncode == 0


HELPS = [[], *([verb] for verb in frame.VERBS), *(["lab", verb] for verb in ("run", "relay", "faults"))]


@pytest.mark.parametrize("words", HELPS, ids=lambda words: " ".join(words) or "front page")
def test_every_help_fits_a_terminal(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of eighty columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        frame.main([*words, "--help"])

    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_the_front_page_in_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A verb's words go on below their beginning."""
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        frame.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    demo = next(i for i, line in enumerate(lines) if line.startswith("  demo "))

    assert lines[demo + 1].startswith(" " * 14 + lines[demo + 1].lstrip()[:5])
    assert " ".join(" ".join(lines[demo : demo + 3]).split()).startswith(f"demo {frame.VERBS['demo']}")


def test_a_text_is_as_wide_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS counts where there is no terminal, too; without it a line stays whole."""
    monkeypatch.delenv("COLUMNS", raising=False)
    text = "word " * 40
    assert output.wrapped(text) == text
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, output.wrapped(text).splitlines())) <= 80


def test_an_unknown_verb_and_an_unknown_option() -> None:
    """Exit code 2, a sentence on stderr."""
    for arguments in (["prove"], ["ps", "--nonsense"], ["demo", "--polic", "1:1:1"]):
        done = keptalive(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "error:" in done.stderr


def test_errors_for_programs() -> None:
    """With --json every error is an object with `error` and `hint`."""
    for arguments in (["demo", "--json", "--nonsense"], ["demo", "--json", "--policy", "1:2:3"]):
        done = keptalive(*arguments)
        answer = json.loads(done.stdout)
        assert done.returncode == 2
        assert answer["schema"] == 1
        assert {"error", "hint"} <= answer.keys()


def test_errors_for_people() -> None:
    """One sentence, no traceback."""
    done = keptalive("demo", "--policy", "1:2:3")

    assert done.returncode == 2
    assert done.stderr.startswith("keptalive: interval 2 s is longer than idle 1 s")
    assert "Traceback" not in done.stderr


def test_warnings_are_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """A default policy that cannot be read is said once, without a line of our source."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "60")
    done = keptalive("attach", str(os.getpid()))

    assert done.stderr.count("KEPTALIVE_POLICY is ignored") == 1
    assert done.stderr.startswith("keptalive: KEPTALIVE_POLICY is ignored")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["ps", "1234"], "; a process's number follows -p: keptalive ps -p 1234\n"),
        (["probe", "localhost", "8080"], "; a port follows the host after a colon: HOST:8080\n"),
        (["serve", "8080"], "; a port follows --port: keptalive serve --port 8080\n"),
        (["ps", "wget"], "unrecognized arguments: wget\n"),
        (["ps", "--procss", "wget"], "unrecognized arguments: --procss wget; did you mean --process?\n"),
        (["lab", "relay", "--to", "127.0.0.1:9", "--fualt=idle-drop:1"], "did you mean --fault?\n"),
        (["lab", "fault"], "; did you mean faults?\n"),
        (["completion", "fisch"], "; did you mean fish?\n"),
        (["serve", "--port", "x"], "argument --port: a whole number, not 'x'\n"),
        (["lab", "run", "--speed", "x", "true"], "argument --speed: a number, not 'x'\n"),
        (["probe", "--rate", "x", "localhost"], "argument --rate: a number, not 'x'\n"),
        (["diagnose", "--connections", "x", "http://localhost"], "a whole number, not 'x'\n"),
        (["ps", "--watch", ":443"], "a number of seconds, not ':443': is --remote :443 meant?\n"),
        (["ps", "-p", "wget"], "a process number, not 'wget': pidof wget finds it\n"),
    ],
)
def test_a_slip_gets_a_hint(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What was probably meant."""
    with pytest.raises(SystemExit) as left:
        frame.main(arguments)

    assert left.value.code == Exit.USAGE
    assert capsys.readouterr().err.endswith(hint)


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "1e9", "soon"])
def test_watching_has_limits(seconds: str) -> None:
    """How often to look is a time that makes sense."""
    done = keptalive("ps", "--watch", seconds)

    assert (done.returncode, done.stdout) == (2, "")
    assert "argument --watch" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PolicyError("x"), 2),
        (NotSupported("x"), 3),
        (NotPermitted("x"), 4),
        (LabError("x"), 5),
        (LabNotSupported("x"), 3),
        (KeptaliveError("x"), 5),
    ],
)
def test_exit_codes(error: KeptaliveError, code: int) -> None:
    """Each error has its code."""
    assert exit_for(error) == code


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C is 130, without a traceback."""

    class Verb:
        @staticmethod
        def add_arguments(parser: object) -> None:
            pass

        @staticmethod
        def run(args: object) -> int:
            raise KeyboardInterrupt

    monkeypatch.setattr(frame, "_module", lambda verb: Verb)

    assert frame.main(["ps"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away() -> None:
    """`keptalive --help | head -0` ends in silence."""
    process = subprocess.Popen(
        [sys.executable, "-m", "keptalive", "ps", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        complaint = process.stderr.read()
    process.wait(60)

    assert complaint == b""


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eexe.txt", "\\u202eexe.txt"),
        ("\udcff", "\\udcff"),
        ("naïve 漢字", "naïve 漢字"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    """Nothing that could act on a terminal comes through."""
    assert output.escape(text) == escaped


def test_table() -> None:
    """Columns line up, None is a dash, cells are escaped."""
    text = output.table(("name", "n"), [("a\x07", 1), (None, 100)], right=(1,))

    assert text == "name     n\na\\x07    1\n-      100"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["lab", "faults"],
        ["lab", "faults", "--json"],
        ["ps", "--json"],
        ["--help"],
        ["ps", "--help"],
        ["--version"],
        ["completion", "bash"],
        ["demo", "--policy", "1:2:3", "--json"],  # a complaint for programs
    ],
)
def test_output_that_cannot_be_written(arguments: list[str]) -> None:
    """One sentence and exit code 2, as for any file that was named; no traceback, at exit neither."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "keptalive", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert done.stderr == "keptalive: the output cannot be written: No space left on device\n"
    assert done.returncode == Exit.USAGE


@pytest.mark.parametrize("arguments", [["lab", "faults"], ["--help"], ["ps", "--json"]])
def test_a_reader_that_has_gone(arguments: list[str]) -> None:
    """`| head` is no error, and nothing is said."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "keptalive", *arguments],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode, done.stderr) == (Exit.OK, "")
