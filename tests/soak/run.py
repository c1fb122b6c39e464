"""A soak: many requests wait at once in one process, behind a firewall that forgets after five seconds.

Rule: what is claimed is checked here: every held request is answered whole and was sent once, every plain
one beside them is lost, and memory and descriptors are flat from the first sample, when all wait, to the
last before the answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from keptalive.lab import open_lab
from matrix.harness import environment

IDLE_TIMEOUT = 5
#: Two probes may be lost: they leave 2, 3 and 4 s after the last answer, late by an eighth.
POLICY = "2:1:9"
#: Memory may grow by a hundredth: nothing is allocated while requests wait. A leak of one small object, 50
#: bytes, a probe would double it in ten minutes: 300 probes on each of 10,000 connections of 15 kB.
GROWTH = 1.01
#: Of a small process a hundredth is less than what the allocator takes at once: an arena of 1 MiB.
ARENA = 1024  # kB
#: For connecting, and for the answers.
_PATIENCE = 180.0
#: How much longer than the held ones the plain ones get for their answers.
_GRACE = 5.0


@dataclass
class Sample:
    """What the process took at a moment."""

    seconds: float  # since all waited
    rss: int  # kB
    descriptors: int
    cpu: float  # s, since the process began


@dataclass
class Soak:
    """What came of it."""

    requests: int
    controls: int
    minutes: float
    samples: list[Sample] = field(default_factory=list)  # while all waited
    held: dict[str, int] = field(default_factory=dict)  # outcome -> how many
    plain: dict[str, int] = field(default_factory=dict)
    protected: int = 0
    plain_protected: int = 0
    arrived: int = 0  # requests at the server, repetitions included
    connecting: float = 0.0  # s until all waited
    answering: float = 0.0  # s from the first answer to the last

    def complaints(self) -> list[str]:
        """Say what is not as it should be."""
        found = []
        if self.held != {"whole": self.requests}:
            found.append(f"of {self.requests} held requests came to their end: {self.held}")
        if self.plain:
            found.append(f"of {self.controls} plain ones none should have been answered: {self.plain}")
        if self.arrived != self.requests + self.controls:
            found.append(f"{self.arrived} requests reached the server, not {self.requests + self.controls}")
        if (self.protected, self.plain_protected) != (self.requests, 0):
            found.append(f"keepalive was on for {self.protected} held and {self.plain_protected} plain ones")
        first, later = self.samples[0], self.samples[1:]
        most = max(sample.rss for sample in later)
        if most > max(first.rss * GROWTH, first.rss + ARENA):
            found.append(f"memory grew from {first.rss} to {most} kB")
        if {sample.descriptors for sample in later} != {first.descriptors}:
            found.append(f"descriptors: {[sample.descriptors for sample in self.samples]}")
        return found


class Asking:
    """A process that answers a line with a line."""

    def __init__(self, popen: Callable[..., subprocess.Popen[str]], *arguments: object) -> None:
        self._process = popen(
            [sys.executable, "-m", *map(str, arguments)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} has ended: {self._process.wait()}")
        return line

    def ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return json.loads(self.line())

    def end(self) -> None:
        self._process.kill()
        with self._process:
            pass


@contextmanager
def _asking(popen: Callable[..., subprocess.Popen[str]], *arguments: object) -> Iterator[Asking]:
    process = Asking(popen, *arguments)
    try:
        yield process
    finally:
        process.end()


def run(requests: int, minutes: float, controls: int, say: Callable[[str], None] = lambda text: None) -> Soak:
    """Have so many requests wait for so long; *say* is told how it goes. Raises LabError without a lab."""
    soak = Soak(requests, controls, minutes)
    with (
        open_lab(f"idle-drop:{IDLE_TIMEOUT}", engine="kernel") as lab,
        _asking(lab.popen_server, "soak.server", lab.host, requests) as server,
    ):
        port = int(server.line())
        url = f"http://{lab.host}:{port}"
        with _asking(lab.popen, "soak.child", url, requests, controls, POLICY) as child:
            _let_all_wait(soak, server, say)
            _sample_while_they_wait(soak, child, say)
            _answer(soak, server, child, say)
    return soak


def _let_all_wait(soak: Soak, server: Asking, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    while (arrived := server.ask("count")) < soak.requests + soak.controls:
        if time.monotonic() > began + _PATIENCE:
            raise RuntimeError(f"only {arrived} requests have arrived after {_PATIENCE:.0f} s")
        say(f"{arrived} requests wait")
        time.sleep(0.5)
    soak.connecting = time.monotonic() - began
    say(f"all {arrived} requests wait, after {soak.connecting:.1f} s")


def _sample_while_they_wait(soak: Soak, child: Asking, say: Callable[[str], None]) -> None:
    """Take samples: the first when a tenth of the time is over, as in the first of ten minutes."""
    began = time.monotonic()
    looked = child.ask("look")
    soak.protected, soak.plain_protected = looked["protected"], looked["plain_protected"]
    seconds = 60 * soak.minutes
    for tenth in range(1, 11):
        time.sleep(max(0.0, began + seconds * tenth / 10 - time.monotonic()))
        report = child.ask("sample")
        took = {name: report[name] for name in ("rss", "descriptors", "cpu")}
        soak.samples.append(Sample(time.monotonic() - began, **took))
        say(f"{soak.samples[-1]}")
        if report["held"] or report["plain"]:
            say(f"some did not wait: held {report['held']}, plain {report['plain']}")


def _answer(soak: Soak, server: Asking, child: Asking, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    soak.arrived = server.ask("answer")
    while sum((report := child.ask("sample"))["held"].values()) < soak.requests:
        if time.monotonic() > began + _PATIENCE:
            break
        time.sleep(0.2)
    soak.answering = time.monotonic() - began
    say(f"answered: {report['held']}")
    time.sleep(_GRACE)
    report = child.ask("sample")
    soak.held, soak.plain = report["held"], report["plain"]
    soak.arrived = server.ask("count")
