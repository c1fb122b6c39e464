"""A thousand requests wait at once in one process: none is lost, memory and descriptors are flat.

The ten thousand and ten minutes are `./dev soak`'s; docs/explanation/chaos-and-soak.md has their figures.
"""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest

from keptalive.errors import LabError
from soak.run import IDLE_TIMEOUT, Sample, Soak, run
from support import missing, require

REQUESTS, CONTROLS, SECONDS = 1000, 20, 15.0


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_a_thousand_requests_wait_and_none_is_lost() -> None:
    """Three times as long as the firewall remembers; the plain ones beside them are all lost."""
    pytest.importorskip("aiohttp")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    require(most >= REQUESTS + CONTROLS + 100, f"needs more descriptors than {most}")
    assert SECONDS >= 3 * IDLE_TIMEOUT
    try:
        soak = run(REQUESTS, SECONDS / 60, CONTROLS)
    except LabError as error:
        missing(str(error))

    assert soak.complaints() == []
    assert len(soak.samples) == 10


GOOD = Soak(
    requests=10,
    controls=2,
    minutes=1,
    samples=[Sample(6, 300_000, 20, 1.0), Sample(60, 303_000, 20, 1.1)],
    held={"whole": 10},
    protected=10,
    arrived=12,
)


@pytest.mark.parametrize(
    ("soak", "complaint"),
    [
        (GOOD, None),
        (replace(GOOD, held={"whole": 9}), "held requests came to their end"),
        (replace(GOOD, held={"whole": 9, "not whole": 1}), "'not whole': 1"),
        (replace(GOOD, plain={"whole": 1}), "none should have been answered"),
        (replace(GOOD, arrived=13), "13 requests reached the server, not 12"),
        (replace(GOOD, protected=9), "on for 9 held"),
        (replace(GOOD, plain_protected=1), "and 1 plain"),
        (replace(GOOD, samples=[GOOD.samples[0], Sample(60, 303_001, 20, 1.1)]), "memory grew"),
        (replace(GOOD, samples=[GOOD.samples[0], Sample(60, 300_000, 21, 1.1)]), "descriptors: [20, 21]"),
        # A small process may take what the allocator takes at once.
        (replace(GOOD, samples=[Sample(6, 50_000, 20, 1), Sample(60, 51_024, 20, 1)]), None),
        (replace(GOOD, samples=[Sample(6, 50_000, 20, 1), Sample(60, 51_025, 20, 1)]), "memory grew"),
    ],
)
def test_what_is_complained_of(soak: Soak, complaint: str | None) -> None:
    found = soak.complaints()

    assert len(found) == (complaint is not None)
    assert complaint is None or complaint in found[0]
