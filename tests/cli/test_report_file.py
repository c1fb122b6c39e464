"""--report: what cannot be written is told first; what was there stays until there is something better."""

from __future__ import annotations

from pathlib import Path

import pytest

from keptalive.cli.report_file import report_to
from keptalive.errors import BadInput


def test_a_page_is_written(tmp_path: Path) -> None:
    """In UTF-8, over what was there."""
    path = tmp_path / "report.html"
    path.write_text("something longer that was there before")
    with report_to(str(path)) as write:
        assert write is not None
        write("a → b")

    assert path.read_text("utf-8") == "a → b"


def test_none_was_asked_for() -> None:
    """Then there is nothing to write to."""
    with report_to(None) as write:
        assert write is None


@pytest.mark.parametrize("name", ["", ".", "no/such/folder/report.html"])
def test_what_cannot_be_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence, before anything is done."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="the report cannot be written to"), report_to(name):
        pytest.fail("was begun")

    assert list(tmp_path.iterdir()) == []


def test_a_measurement_that_failed(tmp_path: Path) -> None:
    """Leaves no empty file, and what was there."""
    new, old = tmp_path / "new.html", tmp_path / "old.html"
    old.write_text("the last report")
    for path in (new, old):
        with pytest.raises(RuntimeError), report_to(str(path)):
            raise RuntimeError("no such host")

    assert not new.exists()
    assert old.read_text() == "the last report"


def test_a_disk_that_is_full() -> None:
    """Is told in a sentence, too."""
    with (
        report_to("/dev/full") as write,
        pytest.raises(BadInput, match="cannot be written to /dev/full: No space"),
    ):
        assert write is not None
        write("a page")
