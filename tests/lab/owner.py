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


def born(pid: int) -> str:
    """Return when a process started: with its id, its name for ever (proc_pid_stat(5), field 22)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def main() -> None:
    with open_lab("idle-drop:60", sys.argv[1]) as lab:
        shell = lab.popen(["sh", "-c", "sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
        lab.popen_server(["sleep", "300"])
        pids = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
        helpers = {}
        for pid in pids:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            modules = (word for word in words if word.startswith("keptalive.lab."))
            helpers.update({module.rpartition(".")[2]: pid for module in modules})
        grandchild = int(shell.stdout.readline())  # type: ignore[union-attr]
        if lab.engine == "kernel":
            pids.append(grandchild)
        networks = {Path(f"/proc/{pid}/ns/net").stat().st_ino for pid in pids}
        files = [str(Path(lab.ca_file).parent)] if find_spec("trustme") else []
        there_is = {
            "processes": [[pid, born(pid)] for pid in pids],
            "networks": sorted(networks - {Path("/proc/self/ns/net").stat().st_ino}),
            "ports": sorted([lab.port, lab.reach(9)[1]]) if lab.engine == "relay" else [],
            "files": files,
        }
        print(json.dumps([helpers, there_is]), flush=True)
        sys.stdin.read()
        try:
            lab.expire_now()
        except LabError as error:
            print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
