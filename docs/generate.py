"""Write what comes from the code: pages of the reference, the manual, completion. `--check` only compares.

python docs/generate.py [--check]

Rule: what is written, and where; how is told in generating/, one kind a file. A new page is one line here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from generating.bash import bash
from generating.command_line import command_line
from generating.drawings import drawing, names
from generating.explanations import explanations
from generating.faults import faults
from generating.fish import fish
from generating.grammar import commands
from generating.manual import manual
from generating.platforms import platforms
from generating.presets import presets
from generating.python_api import python_api
from generating.verdicts import verdict, verdicts
from generating.zsh import zsh

from keptalive.cli.main import VERBS
from keptalive.diagnosis.remedies import MEANINGS

FILES: dict[str, Callable[[], str]] = {
    "docs/reference/command-line.md": command_line,
    "docs/reference/explanations.md": explanations,
    "docs/reference/faults.md": faults,
    "docs/reference/platforms.md": platforms,
    "docs/reference/presets.md": presets,
    "docs/reference/python.md": python_api,
    "docs/reference/verdicts.md": verdicts,
    **{f"docs/reference/verdicts/{name}.md": partial(verdict, name) for name in MEANINGS},
    "share/man/man1/keptalive.1": lambda: manual(commands()),
    "src/keptalive/cli/completions/keptalive.bash": lambda: bash(commands(), VERBS),
    "src/keptalive/cli/completions/_keptalive": lambda: zsh(commands(), VERBS),
    "src/keptalive/cli/completions/keptalive.fish": lambda: fish(commands(), VERBS),
    **{f"docs/figures/{fault}-{arm}.svg": partial(drawing, fault, arm) for fault, arm in names()},
}


def main() -> int:
    """Write, or check, every file; 1 if one that was checked is out of date."""
    check = "--check" in sys.argv
    stale = []
    for name, text in FILES.items():
        path, new = ROOT / name, text()
        if not path.exists() or path.read_text("utf-8") != new:
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(new, "utf-8")
    for name in stale:
        print(f"{name} {'is' if check else 'was'} out of date")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
