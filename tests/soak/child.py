"""The near side of a soak: one process, one aiohttp session, and all its requests waiting at once.

    python -m soak.child URL REQUESTS CONTROLS POLICY      reports to stdout, a JSON object a line

The requests are held by POLICY; beside them, in a session of their own, CONTROLS plain ones. Each line on
stdin asks for a report: what the process takes, and what has been answered. Rule: nothing is opened,
started or kept after the requests have begun, so that what grows is the waiting's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp

import keptalive
from keptalive.lab.control import allow_many_sockets
from soak.server import answer

#: Requests that connect at a time: who opens ten thousand connections at once may wait longer for its own
#: event loop than the firewall remembers a connection of which nothing is heard.
CONNECTING = 100


class Requests:
    """Requests of one kind, by number, and what became of them."""

    def __init__(self, url: str, numbers: range, session: aiohttp.ClientSession) -> None:
        self.numbers = numbers
        self._url, self._session = url, session
        self._places = asyncio.Semaphore(CONNECTING)
        self.outcomes: dict[str, int] = {}
        self.sent = 0
        self.tasks = [asyncio.ensure_future(self._ask(number)) for number in numbers]

    async def _ask(self, number: int) -> None:
        outcome = "whole"
        try:
            await self._places.acquire()
            trace = {"sent": self._went_out}
            async with self._session.get(f"{self._url}/{number}", trace_request_ctx=trace) as response:
                if await response.text() != answer(number):
                    outcome = "not whole"
        except Exception as error:
            outcome = repr(error)
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def _went_out(self) -> None:
        self.sent += 1
        self._places.release()


def _tracing() -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()

    async def sent(session: Any, context: Any, parameters: Any) -> None:
        context.trace_request_ctx["sent"]()

    config.on_request_headers_sent.append(sent)
    return config


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    patient = aiohttp.ClientTimeout(total=None, sock_connect=None)
    return aiohttp.ClientSession(connector=connector, timeout=patient, trace_configs=[_tracing()])


def _takes() -> dict[str, Any]:
    """Return what this process takes: resident memory in kB, descriptors, CPU seconds."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "rss": int(status["VmRSS"].split()[0]),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "cpu": sum(os.times()[:2]),
    }


def _protected(session: aiohttp.ClientSession) -> int:
    return sum(bool(state.enabled) for state in keptalive.read(session))


async def main(url: str, requests: int, controls: int, policy: str) -> None:
    loop = asyncio.get_running_loop()
    async with _session() as held_session, _session() as plain_session:
        keptalive.hold(held_session, keptalive.Policy.parse(policy))
        plain = Requests(url, range(requests, requests + controls), plain_session)
        held = Requests(url, range(requests), held_session)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            report: dict[str, Any] = {"sent": held.sent + plain.sent, **_takes()}
            if line == "look\n":
                gc.collect()
                report |= {
                    "protected": _protected(held_session),
                    "plain_protected": _protected(plain_session),
                }
            report |= {"held": held.outcomes, "plain": plain.outcomes}
            print(json.dumps(report), flush=True)
        os._exit(0)  # the plain ones wait for ever: that is what was to be shown


if __name__ == "__main__":
    allow_many_sockets()
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
