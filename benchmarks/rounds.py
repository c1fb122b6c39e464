"""Rivals take turns in many short rounds, so that what else the machine does meets all of them alike.

Rule: compared is within a round, and told is the median of the rounds' ratios, not the ratio of medians.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def taking_turns(rivals: Mapping[str, Callable[[], T]], rounds: int, warm: int = 1) -> dict[str, list[T]]:
    """Ask each rival once a round, beginning with another each time; *warm* rounds before do not count."""
    found: dict[str, list[T]] = {name: [] for name in rivals}
    names = list(rivals)
    for number in range(-warm, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            value = rivals[name]()
            if number >= 0:
                found[name].append(value)
    return found


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return each round's ratio."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def differences(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return each round's difference."""
    return [a - b for a, b in zip(ours, theirs, strict=True)]


def milliseconds(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Run a command once; it must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return (time.perf_counter() - started) * 1e3


@contextmanager
def compiled() -> Iterator[dict[str, str]]:
    """Yield an environment in which Python keeps its bytecode, as it does for what pip installed."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        for hinders in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
            environment.pop(hinders, None)
        yield environment


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process with its threads and its children, to the nanosecond."""
    seconds = 0.0
    for task in Path(f"/proc/{process}/task").iterdir():
        seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
        seconds += sum(map(cpu_seconds, map(int, (task / "children").read_text().split())))
    return seconds
