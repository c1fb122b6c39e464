"""keptalive adds no request: a path that dies brings as many POSTs as the client's own setting says.

The firewall forgets after 3 s, and the policy's first probe comes after 4: too late, so the connection
is found dead after 6 s or so and the client is told. Beside the held client stand a plain one, which
never learns of it, and one whose sockets got the same options from outside, without keptalive.
"""

from __future__ import annotations

import pytest

from matrix import witness
from matrix.cells import DEAD_PATHS, TOO_LATE
from matrix.drivers import CLIENTS, driver
from matrix.harness import Results, need, results_in_the_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


def _posts(client: str, scenario: str) -> int:
    """Return how many POSTs the client's own settings make of this scenario."""
    own, tried = driver(client), DEAD_PATHS[scenario]
    if tried.retries:
        return own.posts_with_a_retry or 0
    return tried.requests + (own.resends_if_reused if tried.requests > 1 else 0)


def _has(client: str, scenario: str) -> bool:
    own, tried = driver(client), DEAD_PATHS[scenario]
    return (not tried.retries or own.posts_with_a_retry is not None) and (
        tried.requests == 1 or "pooled" in own.matrix
    )


CELLS = [(client, scenario) for client in CLIENTS for scenario in DEAD_PATHS if _has(client, scenario)]


@pytest.fixture(scope="module")
def lab_results(request: pytest.FixtureRequest) -> Results:
    return results_in_the_lab(request.session)


@pytest.mark.parametrize(("client", "scenario"), CELLS)
def test_a_dead_path_brings_no_request_that_the_client_would_not_make(
    client: str, scenario: str, lab_results: Results
) -> None:
    """The held client gives up with an error, after as many requests as the same client without keptalive."""
    need(client, scenario)
    posts = _posts(client, scenario)
    held = lab_results.get(client, scenario, "held")
    plain = lab_results.get(client, scenario, "plain")
    raw = lab_results.get(client, scenario, "raw")

    assert (held.outcome, held.requests) == ("failed", posts), held
    assert held.options and all(options == witness.wanted(TOO_LATE) for options in held.options)
    assert raw.outcome != "answered", raw
    assert raw.requests == posts, raw
    assert (plain.outcome, plain.requests) == ("lost", DEAD_PATHS[scenario].requests), plain
    assert len(set(held.methods + raw.methods + plain.methods)) == 1
    assert held.connections == raw.connections
