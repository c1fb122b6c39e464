"""`keptalive diagnose --report`: the page of a real diagnosis, and nothing secret on it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from diagnosis.report.reading import read
from keptalive.cli.exits import Exit
from keptalive.lab import open_lab
from support import clean_environment

SECRET = "s3cr3t"


def diagnose(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keptalive", "diagnose", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=clean_environment(),
    )


def test_the_page_of_a_diagnosis(tmp_path: Path) -> None:
    """Says what the command says; of the request's secrets it knows none."""
    path = tmp_path / "report.html"
    with open_lab("idle-drop:3", "relay") as lab:
        url = f"http://user:{SECRET}@{lab.host}:{lab.port}/sleep/6?token={SECRET}"
        secrets = (
            "-H",
            f"Authorization: Bearer {SECRET}",
            "-H",
            f"Cookie: {SECRET}",
            "-H",
            f"X-Key: {SECRET}",
        )
        done = diagnose(url, *secrets, "--rate", "0", "--connections", "6", "--report", str(path))
    html = path.read_text("utf-8")
    page = read(html)

    verdict = re.findall(r": ([a-z-]+)$", done.stdout.splitlines()[0])
    assert done.returncode == Exit.PROBLEM, done.stderr
    assert verdict == ["forgotten-silently"]
    assert verdict[0] in page.text
    assert "Authorization" in page.text  # the name, which helps; not the value
    assert SECRET not in html + done.stdout + done.stderr


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    """Is told at once: nothing is sent."""
    done = diagnose("http://192.0.2.1/", "--report", str(tmp_path / "no" / "report.html"))

    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert "the report cannot be written to" in done.stderr
