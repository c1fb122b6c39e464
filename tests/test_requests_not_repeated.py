"""keptalive adds no request: a path that dies brings as many POSTs as the client's own setting says.

The firewall forgets after 2 s, and the policy's first probe comes after 4: too late, so the connection
is found dead after 6 s or so and the client is told. Beside the held client stand a plain one, which
never learns of it, and one whose sockets got the same options from outside, without keptalive.
"""

from __future__ import annotations

import pytest

from matrix.cells import DEAD_PATHS
from matrix.drivers import CLIENTS, driver
from matrix.harness import Results, need, results_in_the_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]


def _posts(client: str, scenario: str) -> int | None:
    """Return how many POSTs the client's own setting makes of one; None if it has no such setting."""
    return driver(client).posts_with_a_retry if DEAD_PATHS[scenario].retries else 1


CELLS = [
    (client, scenario, posts)
    for client in CLIENTS
    for scenario in DEAD_PATHS
    if (posts := _posts(client, scenario)) is not None
]


@pytest.fixture(scope="module")
def lab_results(request: pytest.FixtureRequest) -> Results:
    return results_in_the_lab(request.session)


@pytest.mark.parametrize(("client", "scenario", "posts"), CELLS)
def test_a_dead_path_brings_no_request_that_the_client_would_not_make(
    client: str, scenario: str, posts: int, lab_results: Results
) -> None:
    """The held client gives up with an error, after as many requests as the same client without keptalive."""
    need(client)
    held = lab_results.get(client, scenario, "held")
    plain = lab_results.get(client, scenario, "plain")
    raw = lab_results.get(client, scenario, "raw")

    assert (held.outcome, held.requests) == ("failed", posts), held.error
    assert (raw.outcome, raw.requests) == ("failed", posts), raw.error
    assert (plain.outcome, plain.requests) == ("lost", 1), plain.error
    assert len(set(held.methods + raw.methods + plain.methods)) == 1
    assert held.connections == raw.connections == posts
