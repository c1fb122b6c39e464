"""explain(), and what real clients really raise: each meets each fate, on real sockets, side by side.

Rule: what a fate is to be explained as stands in one table; a client that loses what its kernel said has a
line of its own, with the reason, and must be explained as knowing less, never as something else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import keptalive
from clients.cut_short import READS_DEATH_AS_END
from clients.raiser import CONNECTING, READING, REFUSED, Raised, driver_of, fates_of
from clients.time_limits import TIME_LIMITS
from clients.world import World
from keptalive.errors import UnknownTarget
from matrix.drivers import CLIENTS
from support import clean_environment, missing, require

pytestmark = pytest.mark.timeout(500)

ALL = tuple(dict.fromkeys([*CLIENTS, "grpc", *TIME_LIMITS]))
NOTHING_RAISED = "nothing raised"

EXPECTED = {
    "silence": "path-died",
    "reset": "reset",
    "end": "closed",
    REFUSED: "refused",
    READING: "client-timeout",
    CONNECTING: "client-timeout",
}

#: Read a bare stream: its end is no exception.
BARE = {"socket", "asyncio", "asyncio+uvloop", "anyio+asyncio", "anyio+trio", "anyio+uvloop"}
#: On ssl.SSLSocket. CPython loses what the kernel said of a killed one (gh-115627); keptalive notices.
ON_SSL_SOCKETS = {
    *("http.client", "urllib", "socket", "urllib3", "urllib3-pool", "requests", "httpx", "httpx2"),
    *("botocore", "openai", "anthropic", "tornado-simple"),
}
#: Of those, whose exceptions do not show that there was no TLS.
WITHOUT_A_URL = {"http.client", "urllib", "urllib3", "urllib3-pool", "websockets"}
#: On anyio and asyncio: until 4.13 it raised its own error "from None", and the kernel's was lost.
ON_ANYIO = {
    *("anyio+asyncio", "anyio+uvloop", "httpx+asyncio", "httpx+uvloop", "httpx2+asyncio", "httpx2+uvloop"),
    *("openai-async", "anthropic-async"),
}


def _forgetful(client: str) -> bool:
    return client in ON_ANYIO and tuple(map(int, version("anyio").split(".")[:2])) < (4, 13)


def expected(client: str, fate: str) -> set[str]:
    """Return what a client's exception may be explained as: one thing, but where a race decides."""
    what, _, rest = fate.partition("-")
    half, tls = rest.startswith("half"), fate.endswith("-tls")
    if fate not in (REFUSED, READING, CONNECTING):
        if what == "end":
            return _of_an_end(client, half, tls)
        found = {"silence": "path-died", "reset": "reset"}[what]
        if client == "grpc" and what == "silence":
            return {
                "path-died",
                "client-timeout",
            }  # by TCP_USER_TIMEOUT or by its own ping, whichever is first
        if (tls and client in ON_SSL_SOCKETS and READS_DEATH_AS_END) or _forgetful(client):
            found = "killed"
        if what == "reset" and client.endswith("+uvloop"):
            # libuv takes an RST for an end, if it comes together with data, or not.
            return {found, *_of_an_end(client, half, tls)}
        if client == "tornado-simple" and half:
            return {found, "ended"}  # a race within it: the error, or no more than "Connection closed"
        return {found}
    if fate == REFUSED and client in ("pycurl", "tornado-curl"):
        return {"refused", "no-connection"}  # libcurl says which, or not: it depends on its version
    return {EXPECTED[fate]}


def _of_an_end(client: str, half: bool, tls: bool) -> set[str]:
    if client in BARE:
        return {NOTHING_RAISED}
    if client == "botocore" and half:
        return {NOTHING_RAISED}  # it parses what there is
    if client == "requests" and half and tuple(map(int, version("urllib3").split(".")[:1])) < (2,):
        return {NOTHING_RAISED}  # urllib3 1.26 did not insist on Content-Length
    if client in ("grpc", "tornado-simple"):
        return {"ended"}  # no more than "Socket closed", "Stream closed"
    if client.endswith("+uvloop"):
        return {"closed-or-reset"}
    if client == "websockets-async":
        return {"closed", "ended"}  # it keeps the end of file as a cause, or not
    if READS_DEATH_AS_END:
        no_url = client in WITHOUT_A_URL or (client == "requests" and half)
        if no_url or (tls and client in ON_SSL_SOCKETS):
            return {"ended"}
    return {"closed"}


def _offered(client: str) -> bool:
    """Tell whether the installed version of a client's library has it at all."""
    if client == "openai-aiohttp" and importlib.util.find_spec("openai"):
        import openai

        return hasattr(openai, "DefaultAioHttpClient")
    return True


CELLS = [(client, fate) for client in ALL if _offered(client) for fate in fates_of(client)]


@pytest.fixture(scope="module")
def raised() -> dict[tuple[str, str], Raised]:
    """Have every client that is installed meet every fate, and return what came of it."""
    clients = [client for client in ALL if _offered(client) and not _lacking(client)]
    # uvloop in a process of its own: where it is loaded, explain() must reckon with it.
    together = [
        [client for client in clients if client.endswith("+uvloop") == uvloop] for uvloop in (False, True)
    ]
    children = [_child(clients) for clients in together if clients]
    found: dict[tuple[str, str], Raised] = {}
    for child in children:
        try:
            printed, said = child.communicate(timeout=400)
        except subprocess.TimeoutExpired:
            child.kill()
            printed, said = child.communicate()
        for line in printed.splitlines():
            result = Raised(**json.loads(line))
            found[result.client, result.fate] = result
        sys.stderr.write(said)
    return found


def _child(clients: list[str]) -> Any:
    here, library = Path(__file__).parents[1], Path(keptalive.__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-m", "clients.raiser", json.dumps(clients)],
        env={**clean_environment(), "PYTHONPATH": os.pathsep.join(map(str, (here, library)))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _lacking(client: str) -> list[str]:
    if client in TIME_LIMITS and client not in CLIENTS and client != "grpc":
        needs: tuple[str, ...] = (client.partition("-")[0],)
    else:
        needs = driver_of(client).needs
    return [library for library in needs if importlib.util.find_spec(library) is None]


@pytest.mark.skipif(sys.platform != "linux", reason="the lab is on Linux only")
@pytest.mark.parametrize(("client", "fate"), CELLS)
def test_what_it_raises(client: str, fate: str, raised: dict[tuple[str, str], Raised]) -> None:
    """Each client's exception is explained as what happened, or as knowing less; never as anything else."""
    lacking = _lacking(client)
    require(not lacking, f"needs {' and '.join(lacking)}")
    result = raised.get((client, fate)) or missing(f"{client} gave no result: it still waits, or has failed")
    cause = NOTHING_RAISED if result.raised is None or _is_no_network_error(result) else result.cause

    assert cause in expected(client, fate), f"{result.raised}\n{result.trace}"
    if cause in ("path-died", "reset", "refused"):
        assert result.errno == {"path-died": "ETIMEDOUT", "reset": "ECONNRESET"}.get(cause, "ECONNREFUSED")
    if fate == CONNECTING or (fate == READING and result.arrived):  # else it was too busy to get so far
        assert _phase_fits(client, fate, str(result.what)), result.what


def test_a_pool_whose_connections_are_all_in_use(world: World) -> None:
    """Says nothing about the network."""
    httpx = pytest.importorskip("httpx")
    limits = {"limits": httpx.Limits(max_connections=1), "timeout": httpx.Timeout(30, pool=0.1)}
    with httpx.Client(**limits) as client, client.stream("GET", world.origin.url("/part/chunked")):
        with pytest.raises(httpx.PoolTimeout) as caught:
            client.get(world.origin.url())
        world.origin.gate.set()

    assert "a free connection of its pool" in str(keptalive.explain(caught.value))


def test_pings_without_answer() -> None:
    """A WebSocket's own pings are its time limit, and no close frame of the server's."""
    exceptions = pytest.importorskip("websockets.exceptions")
    frames = pytest.importorskip("websockets.frames")
    going_away = exceptions.ConnectionClosedError(frames.Close(1001, "going away"), None)
    no_pong = exceptions.ConnectionClosedError(None, frames.Close(1011, "keepalive ping timeout"))
    found = [keptalive.explain(error) for error in (going_away, no_pong)]

    assert [each and each.cause for each in found] == ["closed", "client-timeout"]
    assert "own pings stayed unanswered" in str(found[1])


def _is_no_network_error(result: Raised) -> bool:
    """botocore takes half an answer for one without what the driver looks for in it."""
    return result.raised == "builtins.KeyError" and result.client == "botocore"


#: Their exception is a bare TimeoutError of an event loop's, or the driver's own function does both.
SILENT_ABOUT_THE_PHASE = {
    *("asyncio", "anyio+asyncio", "anyio+trio", "aiohttp-total", "grpc", "websockets-async", "socket"),
}


def _phase_fits(client: str, fate: str, what: str) -> bool:
    own = "of this program's own ran out" in what
    said = "while it was connecting" if fate == CONNECTING else "while it waited for the other end"
    return said in what or (own and client in SILENT_ABOUT_THE_PHASE)


@pytest.mark.parametrize("value", [None, "x", ConnectionResetError])
def test_what_is_no_exception(value: object) -> None:
    """A TypeError in one sentence."""
    with pytest.raises(UnknownTarget, match=r"explain\(\) takes an exception that was caught, not \w+"):
        keptalive.explain(value)  # type: ignore[arg-type]
