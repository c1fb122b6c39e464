"""Files that verbs write: what cannot be written is refused first, in one sentence, by every verb alike."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keptalive.cli.exits import Exit
from keptalive.errors import BadInput
from keptalive.output_file import refuse_unwritable
from lab.users import as_nobody, python_for_all, world_readable
from support import clean_environment

# Each with something to see if it began, and FILE.
VERBS = {
    "run": ["run", "--summary", "FILE", "--", "echo", "begun"],
    "probe": ["probe", "127.0.0.1:1", "--report", "FILE"],
    "diagnose --report": ["diagnose", "http://127.0.0.1:1/", "--report", "FILE"],
    "diagnose -o": ["diagnose", "http://127.0.0.1:1/", "-o", "FILE"],
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Make a folder that everybody may enter, with keptalive in it, and one that nobody may."""
    with tempfile.TemporaryDirectory() as name:
        place = world_readable(Path(name))
        (place / "locked").mkdir(mode=0o700)
        if os.geteuid() != 0:
            (place / "locked").chmod(0)
            place.chmod(0o555)
        yield place
        place.chmod(0o755)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("locked/file", "this user may not enter the folder"),
        ("file", "this user may not write to the folder"),
        ("nowhere/file", "there is no folder"),
        ("locked", "it is a folder"),
    ],
)
def test_one_sentence(place: Path, verb: str, path: str, reason: str) -> None:
    """As an ordinary user: exit code 2, before anything is started, sent or measured."""
    file = str(place / path)
    arguments = [file if word == "FILE" else word for word in VERBS[verb]]
    done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
        [python_for_all(), "-m", "keptalive", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
        env={**clean_environment(), "PYTHONPATH": str(place)},
        **as_nobody(),
    )

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert f"cannot be written to {file}: {reason}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_can_be_written(tmp_path: Path) -> None:
    """A file that is there, and one that is not; a device, unless it would be replaced."""
    old = tmp_path / "old"
    old.write_text("x")
    for path in (old, tmp_path / "new", Path("/dev/null")):
        refuse_unwritable(str(path), "the report")

    refuse_unwritable(str(old), "the summary", replaced=True)
    with pytest.raises(BadInput, match="would be replaced by one"):
        refuse_unwritable("/dev/null", "the summary", replaced=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_dash_is_not_taken_for_the_name_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdout has the result already; who wants such a name says where it is."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"the report goes into a file, not to stdout: \./- is"):
        refuse_unwritable("-", "the report")

    refuse_unwritable("./-", "the report")
