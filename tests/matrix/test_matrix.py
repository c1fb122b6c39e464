"""Every client behind a firewall that forgets: held, the slow answer comes; plain, it is lost.

The firewall forgets a connection after 3 s of silence, the answer takes 7. Each client runs in a process
of its own, held and plain side by side, so a held client never hides a path that was fine anyway, and
keptalive never leaks from one client to the next.
"""

from __future__ import annotations

import pytest

from matrix import witness
from matrix.cells import KEEPING
from matrix.drivers import CLIENTS, driver
from matrix.harness import Results, need, results_in_the_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

CELLS = [(client, scenario) for client in CLIENTS for scenario in driver(client).scenarios()]


@pytest.fixture(scope="module")
def lab_results(request: pytest.FixtureRequest) -> Results:
    return results_in_the_lab(request.session)


@pytest.mark.parametrize(("client", "scenario"), CELLS)
def test_the_held_client_is_answered_and_the_plain_one_is_lost(
    client: str, scenario: str, lab_results: Results
) -> None:
    """The one is answered and its sockets carry the policy; the other still waits, and its sockets do not."""
    need(client, scenario)
    held = lab_results.get(client, scenario, "held")
    plain = lab_results.get(client, scenario, "plain")

    assert held.outcome == "answered", held
    assert held.complaints == []
    assert held.options and all(options == witness.wanted(KEEPING) for options in held.options)

    assert plain.outcome == "lost", plain
    assert plain.options and all(options != witness.wanted(KEEPING) for options in plain.options)

    # The scenario took place: so many connections, and the same requests from both.
    expected = driver(client).scenario(scenario).connections
    assert expected is None or held.connections == plain.connections == expected
    assert held.methods == plain.methods
