"""What it costs to start: `import keptalive`, and the command line, each in interleaved new processes.

    python benchmarks/import_cost.py [--quick]

No module may be loaded that is not Python's own. Python keeps its bytecode, as for what pip installed.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from statistics import median

from figures import Figure, Findings, parser, table, tell
from rounds import compiled, differences, milliseconds, ratios, taking_turns

COMMANDS = {
    "import socket": [sys.executable, "-c", "import socket"],
    "import keptalive": [sys.executable, "-c", "import keptalive"],
    "from keptalive import hold, install": [sys.executable, "-c", "from keptalive import hold, install"],
    "import argparse, socket": [sys.executable, "-c", "import argparse, socket"],
    "keptalive --version": [sys.executable, "-m", "keptalive", "--version"],
}
LOADED = "import sys; before = set(sys.modules); import keptalive; print(*sorted(set(sys.modules) - before))"

IMPORT = Figure("`import keptalive`", "`import socket`", 5, "ms more", digits=1)
VERSION = Figure("`keptalive --version`", '`python -c "import argparse, socket"`', 1.2)
ROWS = (IMPORT, VERSION)


def measure(quick: bool) -> Findings:
    """See what is loaded, then time all."""
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    loaded = done.stdout.split()
    foreign = {name.partition(".")[0] for name in loaded} - {*sys.stdlib_module_names, "keptalive"}
    assert not foreign, foreign
    with compiled() as environment:
        rivals = {name: partial(milliseconds, command, environment) for name, command in COMMANDS.items()}
        times = taking_turns(rivals, 2 if quick else 60)
    figures = [
        IMPORT.measured(differences(times["import keptalive"], times["import socket"])),
        VERSION.measured(ratios(times["keptalive --version"], times["import argparse, socket"])),
    ]
    rows = [(f"`{name}`", f"{median(taken):.1f}", f"{min(taken):.1f}") for name, taken in times.items()]
    names = ", ".join(f"`{name}`" for name in loaded)
    return Findings(
        figures,
        [table(("a process of its own", "ms", "least"), rows), f"`import keptalive` loads {names}: no more."],
    )


def main() -> int:
    """Time all, and say whether the figures are reached."""
    arguments = parser(__doc__).parse_args()
    return tell(ROWS, lambda: measure(arguments.quick), arguments)


if __name__ == "__main__":
    sys.exit(main())
