"""The SDKs that people hang with: protected, the slow answer comes; plain, it is lost.

Each in every way that docs/howto/hold-sdks.md names for it, behind the same firewall as the matrix.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import witness
from matrix.cells import KEEPING
from matrix.drivers import SDKS, driver
from matrix.harness import Results, need, results_of_sdks

pytestmark = [pytest.mark.lab, pytest.mark.sdks, pytest.mark.timeout(900)]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "hold-sdks.md"
CELLS = [(sdk, way) for sdk in SDKS for way in driver(sdk).ways if way != "switch"]
SWITCHES = [(sdk, "switch") for sdk in SDKS if driver(sdk).switch]


@pytest.fixture(scope="module")
def sdk_results(request: pytest.FixtureRequest) -> Results:
    return results_of_sdks(request.session)


@pytest.mark.parametrize(("sdk", "way"), CELLS)
def test_the_protected_sdk_is_answered_and_the_plain_one_is_lost(
    sdk: str, way: str, sdk_results: Results
) -> None:
    """The one is answered, over sockets with the policy; the other waits, over sockets as it makes them."""
    need(sdk, "plain")
    held = sdk_results.get(sdk, "plain", way)
    plain = sdk_results.get(sdk, "plain", "plain")

    assert held.outcome == "answered", held
    assert held.complaints == []
    if way == "own" and not driver(sdk).own_probes:
        assert _has(held.options, "")
    else:
        assert _has(held.options, KEEPING)

    assert plain.outcome == "lost", plain
    assert _has(plain.options, driver(sdk).by_itself)
    assert held.methods == plain.methods


@pytest.mark.parametrize(("sdk", "way"), SWITCHES)
def test_its_own_switch(sdk: str, way: str, sdk_results: Results) -> None:
    """It turns keepalive on, with figures that are too late for this firewall."""
    need(sdk, "plain")
    switched = sdk_results.get(sdk, "plain", way)

    assert switched.outcome == "lost", switched
    assert _has(switched.options, driver(sdk).switch)


def test_the_documentation_names_what_is_tested() -> None:
    """hold-sdks.md has a row for each SDK: the ways that are tested here, and what it does by itself."""
    words = {
        "`hold()`": "held",
        "`install()`": "installed",
        "its parameters": "own",
        "`keptalive run`": "run",
    }
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.count("|") == 6 and not line.startswith("|---")
    ]
    told = {
        sdk: ({words[way] for way in ways.split(", ")}, by_itself.replace("off", ""))
        for sdk, _version, ways, by_itself, _timeout in rows[1:]
    }

    assert told == {sdk: (set(driver(sdk).ways) - {"switch"}, driver(sdk).by_itself) for sdk in SDKS}


def _has(options: list[dict[str, int]], policy: str) -> bool:
    """Tell whether there are sockets and all have *policy*; "" is keepalive that is off."""
    if policy:
        return bool(options) and all(each == witness.wanted(policy) for each in options)
    return bool(options) and not any(each["enabled"] for each in options)
