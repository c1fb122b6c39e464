"""A seed says everything: the same rounds again, whoever is there, and every family in turn."""

from __future__ import annotations

import pytest

from chaos.plan import DELAY, FAMILIES, PATIENT, draw, kinds
from keptalive import Policy
from keptalive.lab.faults import parse
from keptalive.lab.faults.outage import Outage
from matrix.drivers import CLIENTS


def test_a_seed_draws_the_same_again_and_another_does_not() -> None:
    assert draw(7, 20) == draw(7, 20)
    assert draw(7, 20) != draw(8, 20)
    assert draw(7, 20)[:5] == draw(7, 5)


def test_who_is_missing_changes_nothing_for_the_others() -> None:
    every = {(one.number, asked.client): asked for one in draw(7, 10) for asked in one.asked}
    some = {
        (one.number, asked.client): asked
        for one in draw(7, 10, ["requests", "aiohttp"])
        for asked in one.asked
    }

    assert some == {key: asked for key, asked in every.items() if key[1] in ("requests", "aiohttp")}


@pytest.mark.parametrize("seed", range(5))
def test_every_family_comes_with_faults_that_its_engine_has(seed: int) -> None:
    rounds = draw(seed, len(FAMILIES))

    assert {one.family for one in rounds} == set(FAMILIES)
    for one in rounds:
        faults = parse(one.fault)
        assert faults.refusal(one.family.engine) is None
        assert {asked.client for asked in one.asked} == set(CLIENTS)
        for outage in faults.all(Outage):
            assert outage.end is not None and outage.end < DELAY + one.family.spread
            if one.family.held == "answered":
                assert (
                    outage.end - outage.start < Policy.parse(PATIENT).interval * Policy.parse(PATIENT).count
                )


def test_every_way_of_asking_is_drawn() -> None:
    """In ten runs of all families, each client asks in each way that it has."""
    asked = {
        (one.client, one.kind)
        for seed in range(10)
        for round_ in draw(seed, len(FAMILIES))
        for one in round_.asked
    }

    assert asked == {(client, kind) for client in CLIENTS for kind in kinds(client)}
    assert {kind for _, kind in asked} >= {"slow", "pooled-tls", "trickle-close", "trickle-chunked-tls"}
