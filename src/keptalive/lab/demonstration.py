"""The demonstration: every client twice, plain and held, at once, through a firewall that forgets.

Rule: real packets and real clients; an outcome is what the client's process reported,
and "lost" means that it had no answer well after its held twin's was due.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

from keptalive.errors import LabError
from keptalive.lab.interface import Lab
from keptalive.policy import Policy

#: Seconds that a plain client gets beyond the time of the answer before it counts as lost.
GRACE = 4.0
_LONGEST = 10.0  # s that held clients get beyond it, where the machine is too busy to be on time
_START_UP = 30.0  # s for the slowest library to load on a busy machine


@dataclass
class Arm:
    """One client's request: as it is going, and how it ended."""

    client: str
    held: bool
    timer: str | None = None  # as `netstat --timers` shows it
    outcome: Literal["answered", "lost"] | None = None
    seconds: float | None = None
    error: str | None = None
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def row(self) -> dict[str, Any]:
        """Return the arm as --json shows it."""
        return {"client": self.client, "held": self.held, "outcome": self.outcome, "seconds": self.seconds}


def clients_here() -> list[str]:
    """Return the clients to show: those whose library is installed."""
    from keptalive.lab.demo_client import CLIENTS

    return [name for name in CLIENTS if name in sys.stdlib_module_names or find_spec(name.partition(".")[0])]


def clients_missing() -> list[str]:
    """Return the clients that could be shown if their library were installed."""
    from keptalive.lab.demo_client import CLIENTS

    return [name for name in CLIENTS if name not in clients_here()]


def demonstrate(
    lab: Lab, policy: Policy, response_after: float, watch: Callable[[list[Arm], float], None]
) -> list[Arm]:
    """Have each client ask the slow endpoint plain and held at once; return the arms with their outcomes.

    *watch* is called about five times a second with the arms and the seconds since the start.
    Takes response_after + GRACE seconds, a little more on a busy machine.
    Raises LabError if a client does not start.
    """
    arms = [Arm(client, held) for client in clients_here() for held in (False, True)]
    said: queue.Queue[tuple[Arm, dict[str, Any]]] = queue.Queue()
    for arm in arms:
        _start(arm, lab, policy, response_after)
    listeners = [threading.Thread(target=_listen, args=(arm, said), daemon=True) for arm in arms]
    for listener in listeners:
        listener.start()
    try:
        _wait_until_ready(arms, said)
        _run(arms, said, response_after, watch)
    finally:
        for arm in arms:
            _end(arm)
        for listener in listeners:
            listener.join()
    return arms


def _start(arm: Arm, lab: Lab, policy: Policy, response_after: float) -> None:
    environment = {
        k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "KEPTALIVE_POLICY"
    }
    argv = [sys.executable, "-m", "keptalive.lab.demo_client", arm.client, str(policy) if arm.held else ""]
    arm.process = lab.popen(
        [*argv, f"{lab.url}/sleep/{response_after:g}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _listen(arm: Arm, said: queue.Queue[tuple[Arm, dict[str, Any]]]) -> None:
    """Pass on each line of a client; an end without an outcome is told as one."""
    assert arm.process is not None and arm.process.stdout is not None and arm.process.stderr is not None
    with arm.process.stdout as lines, arm.process.stderr as complaints:
        for line in lines:
            said.put((arm, json.loads(line)))
        trouble = complaints.read().strip().rpartition("\n")[2]
    said.put((arm, {"ended": trouble or "it ended without a word"}))


def _wait_until_ready(arms: list[Arm], said: queue.Queue[tuple[Arm, dict[str, Any]]]) -> None:
    waiting = {id(arm) for arm in arms}
    deadline = time.monotonic() + _START_UP
    while waiting:
        try:
            arm, what = said.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise LabError(
                f"the clients did not start within {_START_UP:g} s: this machine is too busy"
            ) from None
        if "ended" in what:
            raise LabError(f"the {arm.client} client did not start: {what['ended']}")
        waiting.discard(id(arm))
    for arm in arms:
        assert arm.process is not None and arm.process.stdin is not None
        arm.process.stdin.write("go\n")
        arm.process.stdin.flush()


def _run(
    arms: list[Arm],
    said: queue.Queue[tuple[Arm, dict[str, Any]]],
    response_after: float,
    watch: Callable[[list[Arm], float], None],
) -> None:
    started = time.monotonic()
    elapsed = 0.0
    while elapsed < response_after + (_LONGEST if _waiting(arms, held=True) else GRACE):
        if not _waiting(arms, held=True) and not _waiting(arms, held=False):
            break
        watch(arms, elapsed)
        tick = time.monotonic() + 0.2
        while (left := tick - time.monotonic()) > 0:
            try:
                _note(*said.get(timeout=left))
            except queue.Empty:
                break
        elapsed = time.monotonic() - started
    for arm in arms:
        if arm.outcome is None:
            arm.outcome, arm.error = "lost", f"nothing after {elapsed:.0f} s"
    watch(arms, elapsed)


def _waiting(arms: list[Arm], *, held: bool) -> bool:
    return any(arm.outcome is None for arm in arms if arm.held is held)


def _note(arm: Arm, what: dict[str, Any]) -> None:
    if "timer" in what:
        arm.timer = what["timer"] or arm.timer
    elif "outcome" in what:
        arm.outcome, arm.seconds, arm.error = what["outcome"], what["seconds"], what.get("error")
    elif arm.outcome is None:
        arm.outcome, arm.error = "lost", what["ended"]


def _end(arm: Arm) -> None:
    assert arm.process is not None
    arm.process.kill()
    arm.process.wait()
    assert arm.process.stdin is not None
    try:
        arm.process.stdin.close()
    except BrokenPipeError:
        return  # the client ended before it took its "go"
