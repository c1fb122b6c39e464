"""Every cause of the matrix with real packets, once: the verdict, what it names besides, and nothing left."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from diagnosis.causes import CAUSES
from diagnosis.worlds import LEAVING, PROGRAMS, WORLDS, Outcome, late, run
from keptalive.errors import LabError
from keptalive.lab import open_lab
from support import missing, require

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

_AT_ONCE = 14  # labs, each of three processes or more
_APART = 0.3  # s between their beginnings: starting is what they need the processor for
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


async def _all() -> dict[str, Outcome]:
    executor = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="asyncio_labs")
    asyncio.get_running_loop().set_default_executor(executor)
    gate, door = asyncio.Semaphore(_AT_ONCE), asyncio.Lock()

    async def one(name: str) -> tuple[str, Outcome]:
        async with gate:
            async with door:
                await asyncio.sleep(_APART)
            outcome = await run(name)
            if outcome.verdict == "cannot-tell" != CAUSES[name].expected:
                # It may be unsure, on a machine that is too busy; but not twice, and never wrong.
                outcome = await run(name)
            return name, outcome

    return dict(await asyncio.gather(*map(one, WORLDS)))


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Outcome]]:
    """Make every cause, a third of them at a time: each waits nearly all of its time."""
    for program in PROGRAMS:
        require(shutil.which(program, path=_PATH), f"the causes need {' '.join(PROGRAMS)}")
    try:
        open_lab("idle-drop:60", "kernel").close()
    except LabError as error:
        missing(str(error))
    yield asyncio.run(_all())


def test_every_cause_is_made() -> None:
    """No row of the matrix is without its world."""
    assert set(WORLDS) == set(CAUSES)
    assert set(LEAVING) <= set(CAUSES)


@pytest.mark.parametrize("name", CAUSES)
def test_the_verdict(outcomes: dict[str, Outcome], name: str) -> None:
    """As the matrix says; in time, and with nothing left at the server."""
    outcome, cause = outcomes[name], CAUSES[name]
    diagnosis = outcome.diagnosis
    seen = "\n".join(diagnosis.because)

    assert diagnosis.verdict == cause.expected, seen
    assert set(cause.also) <= set(diagnosis.also_possible), seen
    assert diagnosis.keepalive_helps is cause.helps
    patience = 25 if "loss" in name else 15  # a question or an answer that is lost has to be asked again
    assert late(outcome) - outcome.stalled <= patience
    assert name in LEAVING or outcome.left == 0


@pytest.mark.parametrize("name", [name for name in CAUSES if CAUSES[name].helps])
def test_the_policy_holds_the_path(outcomes: dict[str, Outcome], name: str) -> None:
    """Where keepalive helps, three probes of the policy leave before the five seconds are over."""
    diagnosis = outcomes[name].diagnosis

    assert diagnosis.policy is not None, diagnosis.because
    assert diagnosis.policy.idle <= 5 / 3, (diagnosis.because, diagnosis.evidence.ladder)
    assert diagnosis.code


def test_the_timeout_that_was_found(outcomes: dict[str, Outcome]) -> None:
    """The measurement beside the arms says when the path forgets; not each gets so far on a busy machine."""
    same_path = (
        "firewall forgets",
        *(f"firewall forgets, {how}" for how in ("default policy", "IPv6", "TLS")),
    )
    ladders = [outcomes[name].diagnosis.evidence.ladder for name in same_path]
    brackets = [(found.alive_at or 0, found.dead_at or 60) for found in ladders if found is not None]

    assert all(alive <= 5.1 and dead >= 5 for alive, dead in brackets), brackets
    assert any(alive > 4 and dead < 6 for alive, dead in brackets), brackets
