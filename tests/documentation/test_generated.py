"""What is written from the code is current, and sound to those who read it."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import keptalive
from keptalive.cli.exits import Exit
from keptalive.cli.main import VERBS
from support import require

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "share" / "man" / "man1" / "keptalive.1"


def test_generated_files_are_current(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python docs/generate.py` would change nothing."""
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))

    assert generate["main"]() == 0, capsys.readouterr().out


def test_the_manual_has_everything() -> None:
    """Each verb has its section, each exit code its meaning."""
    text = MANUAL.read_text()
    sections = re.findall(r"^\.SS keptalive (.*)$", text, re.MULTILINE)

    assert set(VERBS) == {section.partition(" ")[0] for section in sections}
    assert all(f"\n.B {code}\n" in text for code in map(int, Exit))


def test_the_manual_is_sound() -> None:
    """mandoc has nothing to warn of."""
    require(shutil.which("mandoc"), "mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", MANUAL],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.stdout, done.returncode) == ("", 0)


def test_every_public_name_is_in_the_reference() -> None:
    """Nothing that can be imported from keptalive is left out."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text()

    assert {name for name in keptalive._HOME if f":: keptalive.{name}\n" not in page} == set()
