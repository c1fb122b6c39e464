"""How each cause of the matrix is made, with real packets: a lab, what is done to it, the diagnosis there.

Rule: a cause's world is a function of its lab; what is to be said about it stands in `causes`. Used by the
tests (each cause once) and by benchmarks/diagnose.py (the confusion matrix).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnosis.causes import CAUSES
from diagnosis.servers import PORT
from keptalive.diagnosis.evidence import Timers
from keptalive.diagnosis.result import Diagnosis
from keptalive.diagnosis.session import Session
from keptalive.lab import Lab, open_lab
from probing import obstacles, real_servers

#: What these worlds need beside a kernel lab.
PROGRAMS = ("nft", "nginx", "haproxy", "squid")
SECONDS = 10  # until the endpoint answers
EVENT = (
    5  # s after which something happens that has nothing to do with silence: two probes have been answered
)


@dataclass(frozen=True)
class Outcome:
    """What was said, and what was left."""

    diagnosis: Diagnosis
    seconds: float
    stalled: float  # seconds by which this busy machine came too late to everything
    left: int  # connections that the server still knew

    @property
    def verdict(self) -> str:
        return self.diagnosis.verdict


World = Callable[[Lab, str], Awaitable[Diagnosis]]


async def diagnose(lab: Lab, held: str, url: str | None = None, **how: Any) -> Diagnosis:
    """Diagnose a request to the lab's slow server, or to another of its ports."""
    session = Session(
        url or f"{lab.url}/sleep/{SECONDS}",
        policy=Timers(*map(int, held.split(":"))),
        make_socket=lab.client_socket,
        **{"timeout": 60.0, "proxy": "none", **how},
    )
    return await session.run()


def _plain(lab: Lab, held: str) -> Awaitable[Diagnosis]:
    return diagnose(lab, held)


def _pending(lab: Lab, held: str) -> Awaitable[Diagnosis]:
    return diagnose(lab, held, f"{lab.url}/sleep/100", timeout=6.0)


def _with(**how: Any) -> World:
    return lambda lab, held: diagnose(lab, held, **how)


def _at(url: Callable[[Lab], str]) -> World:
    return lambda lab, held: diagnose(lab, held, url(lab))


def _after(prepare: Callable[..., None], *arguments: Any) -> World:
    async def world(lab: Lab, held: str) -> Diagnosis:
        await asyncio.to_thread(prepare, lab, *arguments)
        return await diagnose(lab, held)

    return world


def _meanwhile(seconds: float, what: Callable[[Lab], None]) -> World:
    async def world(lab: Lab, held: str) -> Diagnosis:
        async def later() -> None:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(what, lab)

        # On a busy machine it takes some time: the answer must not be faster.
        url = f"{lab.url}/sleep/{2 * SECONDS}"
        diagnosis, _ = await asyncio.gather(diagnose(lab, held, url), later())
        return diagnosis

    return world


def _server(what: str, seconds: float) -> World:
    async def world(lab: Lab, held: str) -> Diagnosis:
        await asyncio.to_thread(_start_server, lab, what, seconds)
        return await diagnose(lab, held, f"http://{lab.host}:{PORT}/")

    return world


def _start_server(lab: Lab, what: str, seconds: float) -> None:
    script = Path(__file__).with_name("servers.py")
    process = lab.popen_server(
        [sys.executable, str(script), what, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == "ready\n"


def _real(name: str, port: int, seconds: int) -> World:
    """A real server before the slow one, with so many seconds as each of its timeouts."""

    async def world(lab: Lab, held: str) -> Diagnosis:
        with tempfile.TemporaryDirectory(prefix="keptalive-worlds-") as folder:
            await asyncio.to_thread(real_servers.start, lab, name, Path(folder), seconds)
            return await diagnose(lab, held, f"http://{lab.host}:{port}/sleep/{SECONDS}")

    return world


async def _squid(lab: Lab, held: str) -> Diagnosis:
    """squid on the client's side of the firewall, as an explicit proxy."""
    with tempfile.TemporaryDirectory(prefix="keptalive-worlds-") as folder:
        await asyncio.to_thread(real_servers.start, lab, "squid", Path(folder), 60, near=True)
        return await diagnose(lab, held, proxy=f"127.0.0.1:{real_servers.SQUID}", timeout=16.0)


async def _tls(lab: Lab, held: str) -> Diagnosis:
    url = await asyncio.to_thread(lambda: lab.tls_url)
    return await diagnose(lab, held, f"{url}/sleep/{SECONDS}", cacert=lab.ca_file)


#: cause -> the lab's fault, and what is done there.
WORLDS: dict[str, tuple[str, World]] = {
    "server slow": ("idle-drop:60", _plain),
    "server slow, its own keepalive holds the firewall": ("idle-drop:5", _server("keeps-alive", SECONDS)),
    "client to server forgotten, server to client not": ("one-way:client:5", _plain),
    "nginx proxies a slow server": ("idle-drop:600", _real("nginx", real_servers.NGINX, 60)),
    "one request at a time": ("idle-drop:600", _server("in-turn", 5)),
    "no answer in time, connection alive": ("idle-drop:600", _pending),
    "firewall forgets": ("idle-drop:5", _plain),
    "firewall forgets, default policy": ("idle-drop:5", _plain),
    "firewall forgets, IPv6": ("idle-drop:5", _at(lambda lab: f"{lab.url6}/sleep/{SECONDS}")),
    "firewall forgets, TLS": ("idle-drop:5", _tls),
    "firewall forgets, 5 % loss": ("idle-drop:5,loss:5%", _plain),
    "firewall forgets, one held POST": ("idle-drop:5", _with(method="POST", data=b"")),
    "server to client forgotten, client to server not": ("one-way:server:5", _plain),
    "firewall forgets, and resets": ("idle-reset:5", _plain),
    "firewall resets at expiry": ("idle-reset-both:5", _plain),
    "NAT forgets, and takes another port": ("nat-rebind:5", _plain),
    "firewall forgets, and lets the client begin again": (
        "idle-drop:600",
        _after(obstacles.forget_loosely, 5),
    ),
    "idle 7 s": ("idle-drop:5", _plain),
    "idle 7 s, firewall resets": ("idle-reset:5", _plain),
    "idle 2 s, interval 75 s": ("idle-drop:5", _plain),
    "probes filtered, firewall forgets": ("idle-drop:5,probes-filtered", _plain),
    "probes filtered, firewall does not forget": ("probes-filtered", _plain),
    "bare segments filtered, firewall forgets": ("idle-drop:5", _after(obstacles.drop_empty_segments)),
    "gateway times out": ("gateway-timeout:5", _plain),
    "haproxy times out": ("idle-drop:600", _real("haproxy", real_servers.HAPROXY_HTTP, 5)),
    "nginx times out": ("idle-drop:600", _real("nginx", real_servers.NGINX, 5)),
    "haproxy in TCP mode closes": ("idle-drop:600", _real("haproxy", real_servers.HAPROXY_TCP, 5)),
    "load balancer closes": ("idle-close:5", _plain),
    "server closes": ("idle-drop:600", _server("closes", 5)),
    "server resets": ("idle-drop:600", _server("resets", 5)),
    "server restarts and forgets": (f"state-lost@{EVENT}", _plain),
    "firewall restarts and forgets": ("idle-drop:600", _meanwhile(EVENT, lambda lab: lab.expire_now())),
    "host goes down": ("idle-drop:600", _meanwhile(EVENT, obstacles.unplug)),
    "path goes down": (f"blackhole@{EVENT}", _plain),
    "path goes down one way": ("idle-drop:600", _meanwhile(EVENT, obstacles.take_down)),
    "path is down for a while": (f"outage@{EVENT}-14", _plain),
    "squid before the firewall": ("idle-drop:5", _squid),
    "refused": ("idle-drop:600", _at(lambda lab: f"http://{lab.host}:9/")),
    "never answers": ("idle-drop:600", _after(obstacles.take_down)),
}

#: Where connections are left at the server, and why nobody can help it.
LEAVING = {
    "NAT forgets, and takes another port": "what the client sends comes from another port",
    "host goes down": "nothing arrives there",
    "path goes down": "nothing arrives there",
    "never answers": "nothing arrives there",
    "path goes down one way": "nothing arrives there",
    "squid before the firewall": "they are squid's",
    "server restarts and forgets": "the lab's server has not really forgotten them",
    "gateway times out": "they are the gateway's",
    "load balancer closes": "they are the load balancer's",
    "firewall forgets, 5 % loss": "a reset is sent once, and may be lost",
}


def late(outcome: Outcome) -> float:
    """Return the seconds beyond the later of 1.3 times the idle timeout and the end of the held arm."""
    evidence = outcome.diagnosis.evidence
    held, ladder = evidence.held, evidence.ladder
    ends = [0.0]
    if held is not None:
        ends.append(held.ended_at or (held.pokes[0].at if held.pokes else 0.0))
    if ladder is not None and ladder.idle_timeout is not None:
        ends.append(1.3 * ladder.idle_timeout)
    return outcome.seconds - max(ends)


async def run(name: str) -> Outcome:
    """Make one cause, and diagnose there. Raises LabError where no kernel lab can be had."""
    fault, world = WORLDS[name]
    lab = await asyncio.to_thread(open_lab, fault)
    try:
        began, stalls = time.monotonic(), [0.0]
        heartbeat = asyncio.ensure_future(_beat(stalls))
        try:
            diagnosis = await world(lab, CAUSES[name].held)
        finally:
            heartbeat.cancel()
        seconds = time.monotonic() - began
        left = await asyncio.to_thread(obstacles.left_at_the_server, lab)
        return Outcome(diagnosis, seconds, stalls[0], left)
    finally:
        await asyncio.to_thread(lab.close)


async def _beat(stalls: list[float]) -> None:
    """Sum up by how much a clock that ticks ten times a second is late."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.1)
        stalls[0] += time.monotonic() - before - 0.1
