"""nginx, haproxy, sshd and squid as servers: behind a firewall that forgets first, and one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab
from keptalive.probing.result import ProbeResult
from probing import real_servers as servers
from probing.measuring import measure
from support import missing, require

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

FORGETS, CLOSES = 5, 7  # s: the firewall, and the servers

# name -> port, TLS, a request to be pending meanwhile
WAYS: dict[str, tuple[int, bool, str | None]] = {
    "nginx": (servers.NGINX, False, None),
    "nginx, TLS": (servers.NGINX_TLS, True, None),
    "nginx, a pending request": (servers.NGINX, False, "/sleep/100"),
    "haproxy, tcp": (servers.HAPROXY_TCP, False, None),
    "haproxy, http": (servers.HAPROXY_HTTP, False, None),
    "haproxy, a pending request": (servers.HAPROXY_HTTP, False, "/sleep/100"),
    "sshd": (servers.SSHD, False, None),
    "squid": (servers.SQUID, False, None),
}

Outcomes = dict[str, ProbeResult]


async def _measure(lab: Lab, name: str) -> tuple[str, ProbeResult]:
    port, tls, http = WAYS[name]
    return name, await measure(lab, port=port, tls=tls, http=http, longest=60.0)


async def _measure_all(lab: Lab) -> Outcomes:
    return dict(await asyncio.gather(*(_measure(lab, name) for name in WAYS)))


@pytest.fixture(scope="module")
def outcomes() -> Iterator[tuple[Outcomes, Outcomes]]:
    """Measure all of them at once; in one lab the firewall is faster, in the other the servers are."""
    for name in ("nginx", "haproxy", "sshd", "squid"):
        require(servers.program(name), f"these servers are not all here: apt install {servers.PACKAGES}")
    try:
        forgetful, patient = open_lab(f"idle-drop:{FORGETS}", "kernel"), open_lab("idle-drop:600", "kernel")
    except LabError as error:
        missing(str(error))
    # Not pytest's own folder: those servers that give up root's rights would not get into it.
    with TemporaryDirectory() as one, TemporaryDirectory() as other, forgetful, patient:
        servers.start_all(forgetful, Path(one), 60)
        servers.start_all(patient, Path(other), CLOSES)
        yield asyncio.run(_measure_all(forgetful)), asyncio.run(_measure_all(patient))


@pytest.mark.parametrize("name", WAYS)
def test_the_firewall_forgets_first(outcomes: tuple[Outcomes, Outcomes], name: str) -> None:
    """Whatever server it is, the path's timeout is in the bracket, which is narrow."""
    result = outcomes[0][name]

    assert result.behaviour == "silent"
    assert result.alive_at is not None
    assert result.dead_at is not None
    assert result.alive_at <= FORGETS <= result.dead_at
    assert result.dead_at - result.alive_at <= 0.05 * FORGETS  # on a machine that does much else
    assert result.sure
    assert result.connections <= 50


@pytest.mark.parametrize("name", WAYS)
def test_the_server_closes_first(outcomes: tuple[Outcomes, Outcomes], name: str) -> None:
    """That, and when; and no timeout of a path that has none below that."""
    result = outcomes[1][name]

    assert result.behaviour == "closed-by-peer"
    assert result.dead_at is None
    assert result.alive_at is not None
    # s: squid counts whole seconds, and looks at its clock now and then
    early, late = (1.5, 4.0) if name == "squid" else (0.5, 1.5)
    assert 1 < result.alive_at < CLOSES + late
    assert result.closed_after is not None
    assert CLOSES - early < result.closed_after < CLOSES + late
    answered = "answered after 7." in " ".join(result.caveats)
    assert answered is (WAYS[name][2] is not None)


def test_a_server_that_takes_few(outcomes: tuple[Outcomes, Outcomes]) -> None:
    """sshd closes some of so many connections at once (MaxStartups): that is said."""
    for result in (outcomes[0]["sshd"], outcomes[1]["sshd"]):
        assert "does not take so many at once" in " ".join(result.caveats)
