"""Whoever is killed, nothing of a lab stays: no process, no port, no file; so no namespace either.

A namespace without a name lives as long as a process is in it or holds it open. (The numbers that
/proc shows for namespaces prove nothing: the kernel gives them anew, to whatever lab starts next.)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.scenario import PATIENCE

ROUNDS = 20
AT_ONCE = 3


def alive(sessions: Collection[int]) -> list[int]:
    """Return the processes of these sessions; a zombie is not one, whoever has not waited for it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (process / "stat").read_bytes().rpartition(b")")[2].split()[:4]
        except OSError:
            continue
        if int(session) in sessions and state != b"Z":
            found.append(int(process.name))
    return sorted(found)


def listening() -> dict[str, int]:
    """Return the listening sockets by inode, each with its port: a port alone may be another's by now."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
    return {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}  # TCP_LISTEN


def left(sessions: Collection[int], listeners: Collection[str], files: Sequence[str]) -> dict[str, Any]:
    """Return what is still there."""
    return {
        "processes": alive(sessions),
        "ports": sorted(port for inode, port in listening().items() if inode in listeners),
        "files": [file for file in files if Path(file).exists()],
    }


def kill(engine: str, victims: Sequence[str]) -> dict[str, Any]:
    """Open a lab in a process of its own, kill the victims, let the owner close; return what is left."""
    owner = subprocess.Popen(
        [sys.executable, "-m", "lab.owner", engine],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the commands' session as well; each helper has its own
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with owner:
        assert owner.stdout is not None
        helpers, there_was = json.loads(owner.stdout.readline())
        sessions = {owner.pid, *helpers.values()}
        listeners = {inode for inode, port in listening().items() if port in there_was["ports"]}
        mine = sessions, listeners, there_was["files"]
        assert left(*mine) == there_was
        for victim in victims:
            os.kill(helpers.get(victim, owner.pid), signal.SIGKILL)
        owner.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + 10
    while any(left(*mine).values()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left(*mine)


@pytest.mark.timeout(400)
def test_nothing_outlives_a_kill_of_any_process(engine: str) -> None:
    """Twenty times each: the process that opened the lab; its firewall and its server."""
    helpers = ["slow_server", {"kernel": "holder", "packet": "middlebox", "relay": "relay"}[engine]]
    assert after_kills(engine, helpers) == []


@pytest.mark.timeout(400)
def test_nothing_outlives_a_kill_of_any_process_of_a_box() -> None:
    """The same for what the pytest fixture opens."""
    assert after_kills("box", ["slow_server", "relay"]) == []


def after_kills(engine: str, helpers: Sequence[str]) -> list[dict[str, Any]]:
    """Kill the owner, or the helpers, twenty times each; return what was left, where something was."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        kills = [
            pool.submit(kill, engine, victims) for victims in (["owner"], helpers) for _ in range(ROUNDS)
        ]
        leftovers = [each.result() for each in kills]

    return [what for what in leftovers if any(what.values())]
