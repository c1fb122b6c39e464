"""Each tutorial, as its reader would go through it: files saved, commands typed, the same output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from documentation.pages import DOCS, Command, File, masked, steps
from keptalive.errors import LabError
from keptalive.lab import open_lab
from support import clean_environment, missing

TUTORIALS = sorted((DOCS / "tutorial").glob("*.md"))


@pytest.mark.lab
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial(page: Path, tmp_path: Path) -> None:
    """From top to bottom. Numbers may differ; of programs that run side by side, the order of lines, too."""
    try:
        open_lab("idle-drop:60", "kernel").close()
    except LabError as error:
        missing(str(error))
    programs = str(Path(sys.executable).parent)
    environment = {**clean_environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
    for step in steps(page):
        if isinstance(step, File):
            (tmp_path / step.name).write_text(step.text)
            continue
        assert isinstance(step, Command)
        done = subprocess.run(
            ["bash", "-c", step.line],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )
        expected = masked("\n".join(step.output))
        if "&" in step.line or "--trace" in step.line:
            assert sorted(masked(done.stdout)) == sorted(expected), step.line
        else:
            assert masked(done.stdout) == expected, step.line
        assert done.returncode in ((0, 1) if "diagnose" in step.line else (0,)), step.line  # 1: a problem
