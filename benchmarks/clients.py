"""Requests per second of each held client against the same client plain.

    python benchmarks/clients.py [--quick] [CLIENT ...]

Over one connection that is kept, to a server in another process that answers at once: nowhere is a request
cheaper, or a call more per request a larger share. First every held client must show the policy on its live
socket and the plain one none; then both are timed in many short rounds that take turns. Told is the median
of the rounds' ratios, plain's time by held's: above 1 held was the faster. On a busy machine the ratio of
the process's own CPU time is the steadier one. To reach: 0.99.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import keptalive

TARGET = 0.99
POLICY = keptalive.Policy(idle=61, interval=16, count=8)

SERVER = """
import asyncio, sys

ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}"

class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.seen = transport, b""
    def data_received(self, data):
        self.seen += data
        while b"\\r\\n\\r\\n" in self.seen:
            self.seen = self.seen.partition(b"\\r\\n\\r\\n")[2]
            self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""

#: A client, what sends one request with it, and what closes it.
Made = tuple[Any, Callable[[], Any], Callable[[], Any]]


@contextmanager
def server() -> Iterator[int]:
    """Yield the port of a server in a process of its own, which ends when its standard input does."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield int(child.stdout.readline())
        child.stdin.close()


def _http_client(port: int) -> Made:
    client = http.client.HTTPConnection("127.0.0.1", port)

    def send() -> None:
        client.request("GET", "/")
        client.getresponse().read()

    return client, send, client.close


def _urllib3(port: int) -> Made:
    import urllib3

    client = urllib3.PoolManager()
    return client, lambda: client.request("GET", f"http://127.0.0.1:{port}/"), client.clear


def _requests(port: int) -> Made:
    import requests

    client = requests.Session()
    client.trust_env = False
    return client, lambda: client.get(f"http://127.0.0.1:{port}/"), client.close


def _pycurl(port: int) -> Made:
    import pycurl

    client = pycurl.Curl()
    client.setopt(pycurl.URL, f"http://127.0.0.1:{port}/")
    client.setopt(pycurl.WRITEFUNCTION, bytearray().extend)
    return client, client.perform, client.close


def _httpx(library: str) -> Callable[[int], Made]:
    def make(port: int) -> Made:
        client = __import__(library).Client(trust_env=False)
        return client, lambda: client.get(f"http://127.0.0.1:{port}/"), client.close

    return make


def _async_httpx(library: str) -> Callable[[int], Made]:
    def make(port: int) -> Made:
        client = __import__(library).AsyncClient(trust_env=False)
        return client, lambda: client.get(f"http://127.0.0.1:{port}/"), client.aclose

    return make


def _aiohttp(port: int) -> Made:
    import aiohttp

    client = aiohttp.ClientSession()

    async def send() -> None:
        async with client.get(f"http://127.0.0.1:{port}/") as response:
            await response.read()

    return client, send, client.close


def _openai(port: int) -> Made:
    import openai

    client = openai.OpenAI(api_key="x", base_url=f"http://127.0.0.1:{port}/")
    return client, lambda: client.get("/", cast_to=object), client.close


def _tornado_curl(port: int) -> Made:
    from tornado.curl_httpclient import CurlAsyncHTTPClient

    client = CurlAsyncHTTPClient(force_instance=True)

    async def close() -> None:
        client.close()

    return client, lambda: client.fetch(f"http://127.0.0.1:{port}/"), close


CLIENTS: dict[str, tuple[bool, Callable[[int], Made]]] = {  # name -> asynchronous?, maker
    "http.client": (False, _http_client),
    "urllib3": (False, _urllib3),
    "requests": (False, _requests),
    "pycurl": (False, _pycurl),
    "httpx": (False, _httpx("httpx")),
    "httpx2": (False, _httpx("httpx2")),
    "httpx async": (True, _async_httpx("httpx")),
    "httpx2 async": (True, _async_httpx("httpx2")),
    "aiohttp": (True, _aiohttp),
    "openai": (False, _openai),
    "tornado curl": (True, _tornado_curl),
}


class Contender:
    """One client, plain or held, that sends requests in batches on a loop of the benchmark's."""

    def __init__(self, name: str, port: int, loop: asyncio.AbstractEventLoop, held: bool) -> None:
        self.asynchronous, make = CLIENTS[name]
        self.loop = loop
        self.client, self.send, self.close_client = self._run(make, port)
        if held:
            keptalive.hold(self.client, POLICY)

    def _run(self, work: Callable[..., Any], *args: Any) -> Any:
        """Call *work*, inside the loop if this client is asynchronous."""
        if not self.asynchronous:
            return work(*args)

        async def inside() -> Any:
            result = work(*args)
            return await result if hasattr(result, "__await__") else result

        return self.loop.run_until_complete(inside())

    def check(self, port: int, held: bool) -> None:
        """Send one request and assert what its connection carries."""
        before = set(connections(port))
        self._run(self.send)
        mine = [state for local, state in connections(port).items() if local not in before]
        assert [idle if on else None for on, idle in mine] == [POLICY.idle if held else None], mine

    def batch(self, size: int) -> tuple[float, float]:
        """Return the wall and CPU seconds of *size* requests."""
        send = self.send
        if self.asynchronous:

            async def work() -> tuple[float, float]:
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(size):
                    await send()
                return time.perf_counter() - wall, time.process_time() - cpu

            return self.loop.run_until_complete(work())
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(size):
            send()
        return time.perf_counter() - wall, time.process_time() - cpu

    def close(self) -> None:
        """Close the client."""
        self._run(self.close_client)


def connections(port: int) -> dict[int, tuple[bool, int]]:
    """Return local port -> (keepalive on, idle) of each connection to a port among our descriptors."""
    found = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as sock:
                if sock.family == socket.AF_INET and sock.getpeername()[1] == port:
                    state = keptalive.read(sock)
                    found[sock.getsockname()[1]] = bool(state.enabled), state.idle or 0
        except OSError:
            continue  # gone meanwhile, or not connected
    return found


def race(name: str, port: int, rounds: int, size: int) -> tuple[float, float, float]:
    """Return held requests/s, and the median ratios of plain's wall and CPU time to held's."""
    loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        stack.callback(loop.close)
        plain, held = (Contender(name, port, loop, is_held) for is_held in (False, True))
        stack.callback(plain.close)
        stack.callback(held.close)
        plain.check(port, held=False)
        held.check(port, held=True)
        for contender in (plain, held):
            contender.batch(size)  # warm
        times: list[tuple[tuple[float, float], tuple[float, float]]] = []
        for number in range(rounds):
            if number % 2:
                second, first = held.batch(size), plain.batch(size)
            else:
                first, second = plain.batch(size), held.batch(size)
            times.append((first, second))
        wall, cpu = (statistics.median(p[i] / h[i] for p, h in times) for i in (0, 1))
        return size / statistics.median(h[0] for _, h in times), wall, cpu


def main() -> int:
    """Time the clients, print a table; 1 if one stays under the target by more than the noise."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works")
    arguments = parser.parse_args()
    rounds, size = (5, 50) if arguments.quick else (200, 50)
    machine = f"{platform.platform()}, CPython {platform.python_version()}"
    print(f"{date.today()}, {machine}, {rounds} rounds of {size} requests")
    print(f"{'client':<14}{'held requests/s':>16}{'wall ratio':>12}{'CPU ratio':>11}")
    below = []
    with server() as port:
        for name in arguments.clients or CLIENTS:
            try:
                rate, wall, cpu = race(name, port, rounds, size)
            except ImportError as error:
                print(f"{name:<14}{error}")
                continue
            print(f"{name:<14}{rate:>16.0f}{wall:>12.3f}{cpu:>11.3f}", flush=True)
            if max(wall, cpu) < TARGET:
                below.append(name)
    print(f"to reach: {TARGET}: {'not reached by ' + ', '.join(below) if below else 'reached'}")
    return 1 if below and not arguments.quick else 0


if __name__ == "__main__":
    sys.exit(main())
