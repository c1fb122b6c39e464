"""A script that opens a lab with everything in it, or a box, says what there is, and waits.

python owner.py ENGINE|box    prints one line of JSON, closes the lab at the end of its input
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from keptalive.errors import LabError
from keptalive.lab import Box, Lab, open_box, open_lab


def main() -> None:
    with (
        open_box("idle-drop:60") if sys.argv[1] == "box" else open_lab("idle-drop:60", sys.argv[1]) as opened
    ):
        there_is = {"ports": [opened.port], "files": []} if isinstance(opened, Box) else fill(opened)
        pids, helpers = children()
        there_is["processes"] = sorted([os.getpid(), *pids, *there_is.pop("grandchildren", [])])
        print(json.dumps([helpers, there_is]), flush=True)
        sys.stdin.read()
        try:
            opened.expire_now()
        except LabError as error:
            print(error, file=sys.stderr)


def fill(lab: Lab) -> dict[str, list[Any]]:
    """Start everything that a lab can have; return what there is then, but for our children."""
    # What a command starts, an engine with namespaces ends as well.
    script = "sleep 300 & echo $!; wait" if lab.engine != "relay" else "echo; exec sleep 300"
    shell = lab.popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    lab.popen_server(["sleep", "300"])
    return {
        "grandchildren": [int(word) for word in shell.stdout.readline().split()],  # type: ignore[union-attr]
        "ports": sorted([lab.port, lab.reach(9)[1]]) if lab.engine == "relay" else [],
        "files": [str(Path(lab.ca_file).parent)] if find_spec("trustme") else [],
    }


def children() -> tuple[list[int], dict[str, int]]:
    """Return our children, and which of them are helpers, by the module that they run."""
    pids = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    helpers = {}
    for pid in pids:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        modules = (word for word in words if word.startswith("keptalive.lab."))
        helpers.update({module.rpartition(".")[2]: pid for module in modules})
    return pids, helpers


if __name__ == "__main__":
    main()
