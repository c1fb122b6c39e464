"""Whoever is killed, nothing of a lab stays: no process, no namespace, no port, no file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.owner import born
from lab.scenario import PATIENCE

ROUNDS = 20
AT_ONCE = 3
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def namespaces_in_use(since: float) -> set[int]:
    """Every network namespace with a process in it that is older than *since* (s after boot).

    Without that, a younger lab might be taken for the dead one: the kernel gives numbers anew.
    """
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(born(int(process.name))) / CLOCK_TICKS <= since:
                found.add((process / "ns" / "net").stat().st_ino)
        except OSError:
            continue
    return found


def listening_ports() -> set[int]:
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}  # TCP_LISTEN


def runs(pid: int, start: str) -> bool:
    """Tell whether a process is alive; a zombie is not, whoever has not waited for it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return born(pid) == start and state != "Z"
    except OSError:
        return False


def left(there_was: dict[str, Any], since: float) -> dict[str, Any]:
    """Return what is still there."""
    return {
        "processes": [process for process in there_was["processes"] if runs(*process)],
        "networks": sorted(namespaces_in_use(since).intersection(there_was["networks"])),
        "ports": sorted(listening_ports().intersection(there_was["ports"])),
        "files": [file for file in there_was["files"] if Path(file).exists()],
    }


def kill(engine: str, victims: Sequence[str]) -> dict[str, Any]:
    """Open a lab in a process of its own, kill the victims, let the owner close; return what is left."""
    owner = subprocess.Popen(
        [sys.executable, "-m", "lab.owner", engine],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with owner:
        assert owner.stdout is not None
        helpers, there_was = json.loads(owner.stdout.readline())
        since = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert left(there_was, since) == there_was
        assert len(there_was["networks"]) == (3 if engine == "kernel" else 0)
        for victim in victims:
            os.kill(helpers.get(victim, owner.pid), signal.SIGKILL)
        owner.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + 10
    while any(left(there_was, since).values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left(there_was, since)


@pytest.mark.timeout(400)
def test_nothing_outlives_a_kill_of_any_process(engine: str) -> None:
    """Twenty times each: the process that opened the lab; its firewall and its server."""
    helpers = ["slow_server", "holder" if engine == "kernel" else "relay"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        kills = [
            pool.submit(kill, engine, victims) for victims in (["owner"], helpers) for _ in range(ROUNDS)
        ]
        leftovers = [each.result() for each in kills]

    assert [what for what in leftovers if any(what.values())] == []
