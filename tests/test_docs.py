"""The documentation is true: generated pages are current, links lead somewhere, examples run."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_generated_pages_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python docs/generate.py` would change nothing."""
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))

    assert pages["main"]() == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file of the project."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [
        t
        for t in targets
        if "://" not in t and not t.startswith("mailto:") and not (page.parent / t).exists()
    ]

    assert missing == []
