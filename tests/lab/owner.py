"""A script that opens a lab with everything in it, says what there is, and waits.

python owner.py ENGINE    prints one line of JSON, closes the lab at the end of its input
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from keptalive.errors import LabError
from keptalive.lab import open_lab


def main() -> None:
    with open_lab("idle-drop:60", sys.argv[1]) as lab:
        # What a command starts, an engine with namespaces ends as well.
        script = "sleep 300 & echo $!; wait" if lab.engine != "relay" else "echo; exec sleep 300"
        shell = lab.popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        lab.popen_server(["sleep", "300"])
        pids = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
        helpers = {}
        for pid in pids:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            modules = (word for word in words if word.startswith("keptalive.lab."))
            helpers.update({module.rpartition(".")[2]: pid for module in modules})
        grandchildren = [int(word) for word in shell.stdout.readline().split()]  # type: ignore[union-attr]
        there_is = {
            "processes": sorted([os.getpid(), *pids, *grandchildren]),
            "ports": sorted([lab.port, lab.reach(9)[1]]) if lab.engine == "relay" else [],
            "files": [str(Path(lab.ca_file).parent)] if find_spec("trustme") else [],
        }
        print(json.dumps([helpers, there_is]), flush=True)
        sys.stdin.read()
        try:
            lab.expire_now()
        except LabError as error:
            print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
