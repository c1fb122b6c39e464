"""Runs the cells that the chosen tests ask for: a server, and a child process for each client.

Rule: everything runs before the first test looks, once a session, and has ended by then; the tests only
read results. A cell's waiting overlaps with that of the others, so forty clients take little more than one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import keptalive
from keptalive.errors import LabError
from keptalive.lab import open_lab
from matrix.cells import DELAY, IDLE_TIMEOUT, KEEPING, variants
from matrix.child import Result
from matrix.drivers import driver
from support import clean_environment, missing, require

#: Children at a time. They mostly wait; importing an SDK is what takes a core, for two seconds. Behind the
#: firewall fewer, since one that is held up for longer than the firewall's memory loses what it should not.
AT_A_TIME = 3 * (os.cpu_count() or 1)
_ON_LOOPBACK = 2 * AT_A_TIME
#: How long a held client may take in all: its answer, two retries, a machine under load.
PATIENCE = 75.0
#: And how much longer its process, for its imports and for what the server counted.
_OVERHEAD = 60.0

#: SDKs take seconds of CPU to import, and what each cell does first keeps the next from its request.
_SDK_PATIENCE = 240.0
_SDK_GRACE = 4.0
_UNDER_RUN = ("-m", "keptalive", "run", "--policy", KEEPING, "--", sys.executable)

Popen = Callable[..., "subprocess.Popen[Any]"]


@dataclass(frozen=True)
class Ground:
    """Where a run takes place: how a program is started on either side, and the server's address."""

    popen: Popen
    popen_server: Popen
    host: str


@dataclass(frozen=True)
class Job:
    """What one child process does: its client, and the cells, each a scenario and a variant."""

    client: str
    cells: Sequence[tuple[str, str]]
    under: Sequence[str] = ()  # arguments of Python before its own: a program to start it
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 1.5  # how much later than the protected ones the others may be before they count as lost


class Results:
    """What became of each cell that was run."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str, str], Result] = {}
        self._said: dict[str, str] = {}

    def take(self, client: str, printed: str, said: str) -> None:
        """Take down what a child printed, and what it said on stderr."""
        self._said[client] = self._said.get(client, "") + said
        for line in printed.splitlines():
            result = Result(**json.loads(line))
            self._results[client, result.scenario, result.variant] = result

    def get(self, client: str, scenario: str, variant: str) -> Result:
        """Return a cell's result; fails the test with the child's own words if there is none."""
        result = self._results.get((client, scenario, variant))
        if result is None:
            pytest.fail(f"the child process for {client} gave no result:\n{self._said.get(client, '')}")
        return result

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results.values())


def need(client: str, scenario: str) -> None:
    """Skip the test (in CI: fail it) if a library is not installed."""
    lacking = driver(client).missing(scenario)
    require(not lacking, f"needs {' and '.join(lacking)}")


_IN_THE_LAB = pytest.StashKey[Results]()


def results_in_the_lab(session: pytest.Session) -> Results:
    """Return what became of every cell behind the firewall that this session's tests ask for."""
    if _IN_THE_LAB not in session.stash:
        with _lab() as ground:
            session.stash[_IN_THE_LAB] = run(_asked_for(session, "lab_results"), ground)
    return session.stash[_IN_THE_LAB]


@contextmanager
def _lab() -> Iterator[Ground]:
    """Yield the two sides of the firewall."""
    try:
        lab = open_lab(f"idle-drop:{IDLE_TIMEOUT}", engine="kernel")
    except LabError as error:
        missing(str(error))
    with lab:
        yield Ground(lab.popen, lab.popen_server, lab.host)


def results_of_sdks(session: pytest.Session) -> Results:
    """Return what became of the SDKs behind the firewall, in each way that this session's tests ask for."""
    asked: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in session.items:
        if isinstance(item, pytest.Function) and "sdk_results" in item.fixturenames:
            sdk, way = item.callspec.params["sdk"], item.callspec.params["way"]
            if not driver(sdk).missing("plain"):
                asked[sdk, way if way in driver(sdk).in_a_process_of_its_own() else ""].append(way)
    jobs = [
        Job(
            client=sdk,
            cells=[("plain", way) for way in ways] + ([] if process else [("plain", "plain")]),
            under=_UNDER_RUN if process == "run" else (),
            environment=driver(sdk).environment if process == "own" else {},
            grace=_SDK_GRACE,
        )
        for (sdk, process), ways in asked.items()
    ]
    with _lab() as ground:
        return run_jobs(jobs, ground, patience=_SDK_PATIENCE)


def results_on_loopback(session: pytest.Session) -> Results:
    """Return what became of the cells that need no firewall."""
    ground = Ground(subprocess.Popen, subprocess.Popen, "127.0.0.1")
    return run(_asked_for(session, "loopback_results"), ground, at_a_time=_ON_LOOPBACK)


def _asked_for(session: pytest.Session, fixture: str) -> dict[str, list[str]]:
    """Return the scenarios of each client that the chosen tests with this fixture are about."""
    asked: dict[str, dict[str, None]] = defaultdict(dict)
    for item in session.items:
        if isinstance(item, pytest.Function) and fixture in item.fixturenames:
            parameters = item.callspec.params
            client, scenario = parameters["client"], parameters["scenario"]
            if not driver(client).missing(scenario):
                asked[client][scenario] = None
    return {client: list(scenarios) for client, scenarios in asked.items()}


def run(
    asked: Mapping[str, Sequence[str]],
    ground: Ground,
    delay: float = DELAY,
    patience: float = PATIENCE,
    at_a_time: int = AT_A_TIME,
) -> Results:
    """Run the scenarios of each client, every variant of them, and return when all have ended.

    *delay* is how long the slow answer takes, *patience* how long a held client may in all.
    """
    jobs = [
        Job(client, [(name, variant) for name in scenarios for variant in variants(name)])
        for client, scenarios in asked.items()
    ]
    return run_jobs(jobs, ground, delay, patience, at_a_time)


def run_jobs(
    jobs: Sequence[Job],
    ground: Ground,
    delay: float = DELAY,
    patience: float = PATIENCE,
    at_a_time: int = AT_A_TIME,
) -> Results:
    """Run each job in a child process of its own and return when all have ended."""
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        ca_file = certificates(Path(folder), ground.host)
        with _server(ground, Path(folder) / "server.pem", delay) as control:

            def one(job: Job) -> None:
                plan = {
                    "client": job.client,
                    "cells": job.cells,
                    "host": ground.host,
                    "control": control,
                    "ca_file": ca_file,
                    "patience": patience,
                    "grace": job.grace,
                }
                results.take(job.client, *_child(ground, plan, job))

            with ThreadPoolExecutor(at_a_time) as pool:
                for done in [pool.submit(one, job) for job in jobs]:
                    done.result()
    return results


def _child(ground: Ground, plan: dict[str, Any], job: Job) -> tuple[str, str]:
    """Run one client's child; return what it printed and what it said on stderr."""
    child = ground.popen(
        [sys.executable, *job.under, "-m", "matrix.child", json.dumps(plan)],
        env={**environment(), **job.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            return child.communicate(timeout=plan["patience"] + _OVERHEAD)
        except subprocess.TimeoutExpired:
            child.kill()
            printed, said = child.communicate()
            return printed, f"{said}\nit had to be ended"


@contextmanager
def _server(ground: Ground, certificate: Path, delay: float) -> Iterator[int]:
    """Run the server; yield its control port."""
    server = ground.popen_server(
        [sys.executable, "-m", "matrix.server", ground.host, str(certificate), str(delay)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # clients that die in the middle of a handshake are its daily bread
        text=True,
    )
    with server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def environment() -> dict[str, str]:
    """Return an environment in which a child finds this folder's modules, and keptalive, and no proxies."""
    here = Path(__file__).resolve().parents[1]
    library = Path(keptalive.__file__).resolve().parents[1]
    return {**clean_environment(), "PYTHONPATH": os.pathsep.join(map(str, (here, library)))}


def certificates(folder: Path, *hosts: str) -> str:
    """Write a certificate for the server, by each of its addresses, into *folder*; return its CA's path."""
    import trustme

    ca = trustme.CA()
    ca.issue_cert(*hosts).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    return str(folder / "ca.pem")
