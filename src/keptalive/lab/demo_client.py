"""One client of the demonstration, in a process of its own on the client's side of the firewall.

Rule: it loads its library and makes its client, says "ready", waits for "go", asks once, and tells its
parent what its connection's timer shows meanwhile and what came of it, a line of
JSON each. Plain and held differ in one call.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from keptalive.holding import hold
from keptalive.linux import netlink, processes, sock_diag
from keptalive.policy import Policy

Hold = Callable[[Any], Any]


def _http_client(url: str, held: Hold) -> Callable[[], None]:
    import http.client

    parts = urlsplit(url)
    connection = held(http.client.HTTPConnection(parts.netloc))

    def ask() -> None:
        connection.request("GET", parts.path)
        connection.getresponse().read()

    return ask


def _urllib(url: str, held: Hold) -> Callable[[], None]:
    import urllib.request

    opener = held(urllib.request.build_opener())
    return lambda: opener.open(url).read()


def _requests(url: str, held: Hold) -> Callable[[], None]:
    import requests

    session = held(requests.Session())
    return lambda: session.get(url).raise_for_status()


def _httpx(url: str, held: Hold) -> Callable[[], None]:
    import httpx

    client = held(httpx.Client(timeout=None))
    return lambda: client.get(url).raise_for_status()


def _aiohttp(url: str, held: Hold) -> Callable[[], None]:
    import asyncio

    import aiohttp

    async def ask() -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with held(aiohttp.ClientSession(timeout=timeout)) as session, session.get(url) as response:
            await response.read()

    return lambda: asyncio.run(ask())


#: What the demonstration shows, in its order; a client whose library is missing is left out.
CLIENTS: dict[str, Callable[[str, Hold], Callable[[], None]]] = {
    "http.client": _http_client,
    "urllib": _urllib,
    "requests": _requests,
    "httpx": _httpx,
    "aiohttp": _aiohttp,
}


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _timer() -> str | None:
    """Return this process's connection's timer as `netstat --timers` writes it."""
    inodes = {inode for _, inode in processes.sockets(os.getpid())}
    with closing(netlink.open_socket()) as sock:
        for records in sock_diag.tcp_sockets(sock):
            for _, _, (_, _, timer, count), _, _, expires, _, inode in records:
                if inode in inodes:
                    kind = sock_diag.TIMERS[timer]
                    retransmits, probes = (0, count) if kind == "keepalive" else (count, 0)
                    return f"{kind} ({expires / 1000:.2f}/{retransmits}/{probes})"
    return None


def _watch(done: threading.Event) -> None:
    while not done.wait(0.2):
        _say(timer=_timer())


def main() -> None:
    """Play one client: argv is its name, the policy it is held with or "", the URL."""
    name, policy, url = sys.argv[1:4]
    ask = CLIENTS[name](url, lambda target: hold(target, Policy.parse(policy)) if policy else target)
    _say(ready=True)
    sys.stdin.readline()
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(done,), daemon=True)
    watcher.start()
    started = time.monotonic()
    try:
        ask()
        outcome = {"outcome": "answered"}
    except Exception as error:  # noqa: BLE001  # whatever ends the request is its outcome
        outcome = {"outcome": "lost", "error": f"{type(error).__name__}: {error}"}
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    _say(**outcome, seconds=round(seconds, 3))


if __name__ == "__main__":
    main()
