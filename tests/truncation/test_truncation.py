"""A path that dies in mid-body: a held client raises, it never passes the half for the whole.

No firewall is needed: the client's socket is made deaf once half of the answer has arrived (IP_MINTTL),
and keepalive finds that out in three seconds. Runs under any Python, with the clients installed there.
Beside the held client stands one whose socket got the same options from outside. It shows what keepalive
alone does: on some Pythons, and in some clients on all, the half passes for the whole.
"""

from __future__ import annotations

import sys

import pytest

from matrix import witness
from matrix.cells import QUICK, TRUNCATIONS
from matrix.drivers import CLIENTS, driver
from matrix.harness import Results, need, results_on_loopback

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="IP_MINTTL silences a socket on Linux only"),
]

CELLS = [
    (client, scenario)
    for client in CLIENTS
    for scenario in TRUNCATIONS
    if scenario.split("-")[1] in driver(client).bodies
]

#: Clients on ssl.SSLSocket: CPython hands them the death of a TLS connection as its end (gh-115627).
ON_SSL_SOCKETS = {"http.client", "urllib", "socket", "urllib3", "urllib3-pool", "requests", "httpx", "httpx2"}
#: Measured on 3.10.13, 3.11.7 and 3.12.1; 3.13.0 is mended. Between them nothing is claimed.
SURELY_BROKEN = sys.version_info < (3, 11, 8) or (3, 12) <= sys.version_info < (3, 12, 2)
#: Clients that take every end of a connection for the end of a body that has no other, TLS or not.
CREDULOUS = {"aiohttp", "aiohttp+uvloop", "tornado-simple"}
#: libcurl insists on close_notify: an answer without it is an error there, dead path or not.
STRICT = {"pycurl", "tornado-curl"}


@pytest.fixture(scope="module")
def loopback_results(request: pytest.FixtureRequest) -> Results:
    return results_on_loopback(request.session)


@pytest.mark.parametrize(("client", "scenario"), [cell for cell in CELLS if cell[1].startswith("half")])
def test_half_an_answer_is_an_error(client: str, scenario: str, loopback_results: Results) -> None:
    """The held client raises; the plain one waits; keepalive without keptalive may cut short with success."""
    need(client, scenario)
    held = loopback_results.get(client, scenario, "held")
    plain = loopback_results.get(client, scenario, "plain")
    raw = loopback_results.get(client, scenario, "raw")

    assert held.outcome == "failed", held
    assert held.complaints == []
    assert held.options and all(options == witness.wanted(QUICK) for options in held.options)
    assert plain.outcome == "lost", plain
    assert raw.outcome != "answered", raw
    if _passes_half_for_whole(client, scenario):
        assert raw.outcome == "truncated"
    assert held.requests == plain.requests == 1


@pytest.mark.parametrize(("client", "scenario"), [cell for cell in CELLS if cell[1].startswith("whole")])
def test_a_whole_answer_is_an_answer(client: str, scenario: str, loopback_results: Results) -> None:
    """However its end is marked: by the server's FIN too, and by a FIN without TLS's goodbye."""
    need(client, scenario)
    outcomes = {
        variant: loopback_results.get(client, scenario, variant).outcome for variant in ("held", "plain")
    }

    refused = client in STRICT and scenario == "whole-close-tls"
    assert outcomes == dict.fromkeys(("held", "plain"), "failed" if refused else "answered")
    assert loopback_results.get(client, scenario, "held").complaints == []


def _passes_half_for_whole(client: str, scenario: str) -> bool:
    """Tell whether this client, with keepalive alone, is known to take the half for the whole."""
    if scenario == "half-close-tls":
        return client in CREDULOUS or (client in ON_SSL_SOCKETS and SURELY_BROKEN)
    return scenario == "half-close" and client in CREDULOUS
