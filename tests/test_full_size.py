"""The case that started it, at its real times: a firewall with a memory of 300 s, an answer after 320.

Takes five and a half minutes, so it is left out unless asked for: `pytest -m full_size -s`. What it
printed once is in docs/explanation/the-case-that-started-it.md.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import version

import pytest

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab
from matrix import witness
from matrix.harness import Ground, Results, need, run
from support import missing

pytestmark = [pytest.mark.lab, pytest.mark.full_size, pytest.mark.timeout(600)]

IDLE_TIMEOUT, DELAY, POLICY = 300, 320, "60:60:100"
CLIENTS = ("http.client", "requests", "aiohttp")
LOOK_AT = 310  # s from the start: ten after the firewall forgot the plain ones, ten before the answers


def test_the_case_that_started_it(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """Held, each client gets its answer after 320 s; plain, it still waits."""
    if "full_size" not in request.config.option.markexpr:
        pytest.skip("takes six minutes: ask for it with -m full_size")
    for client in CLIENTS:
        need(client, "full-size")
    try:
        lab = open_lab(f"idle-drop:{IDLE_TIMEOUT}", engine="kernel")
    except LabError as error:
        missing(str(error))
    with lab, _timers(lab) as timers:
        results = run(
            {client: ["full-size"] for client in CLIENTS},
            Ground(lab.popen, lab.popen_server, lab.host),
            delay=DELAY,
            patience=DELAY + 30,
        )
    with capsys.disabled():
        _tell(results, timers)

    for client in CLIENTS:
        held = results.get(client, "full-size", "held")
        plain = results.get(client, "full-size", "plain")
        assert (held.outcome, held.error) == ("answered", None)
        assert held.options == [witness.wanted(POLICY)]
        assert (plain.outcome, plain.error) == ("lost", None)


@contextmanager
def _timers(lab: Lab) -> Iterator[list[str]]:
    """Have ss, where there is one, list the client side's connections and their timers in time."""
    lines: list[str] = []
    ended = threading.Event()

    def look() -> None:
        if not ended.wait(LOOK_AT):
            listing = lab.popen(["ss", "-tnoH"], stdout=subprocess.PIPE, text=True).communicate()[0]
            lines.extend(" ".join(line.split()) for line in sorted(listing.splitlines()))

    thread = threading.Thread(target=look)
    if shutil.which("ss"):
        thread.start()
    try:
        yield lines
    finally:
        ended.set()
        if thread.ident:
            thread.join()


def _tell(results: Results, timers: list[str]) -> None:
    now = datetime.now(timezone.utc)
    print(f"\n{now:%Y-%m-%d}, Linux {platform.release()}, Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in CLIENTS if name != "http.client"))
    print(f"firewall forgets after {IDLE_TIMEOUT} s, answer after {DELAY} s, policy {POLICY}\n")
    print(f"after {LOOK_AT} s, ss -tno:")
    for line in timers:
        print(f"  {line}")
    print()
    for result in sorted(results, key=lambda result: CLIENTS.index(result.client)):
        outcome = "lost: no answer" if result.outcome == "lost" else result.outcome
        print(f"{result.client:<12} {result.variant:<6} {outcome} after {result.seconds:.1f} s")
