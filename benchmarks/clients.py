"""Requests per second of each held client against the same client plain.

    python benchmarks/clients.py [--quick] [CLIENT ...]

Over one connection that is kept, to a server in another process that answers at once: nowhere is a request
cheaper, or a call more per request a larger share. Plain and held run in processes of their own, because
the interpreter adapts its code to the objects that it sees; each must show the policy on its live socket,
or none. Then they take turns in many short rounds, in several sets of processes, because where memory comes
to lie is worth a percent as well. Told is the median of the rounds' ratios, plain's time by held's: above 1
held was the faster; beside it the same for plain against another plain, which says how far to trust it. On
a busy machine CPU time is the steadier measure. To reach: 0.99.

Where `valgrind` is installed, --instructions counts instead: the instructions of a request, which no other
program on the machine changes. The kernel's are not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import platform
import re
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
    """One client, plain or held, in a process of its own, which does as its standard input says."""

    def __init__(self, name: str, port: int, held: bool) -> None:
        self.process = subprocess.Popen(
            contender(name, port, held),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.answer()  # it is connected, and shows what it should

    def answer(self) -> str:
        """Return what the process says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.startswith("missing"):
            self.close()
            raise ImportError(line.strip())
        assert line, "a contender died"
        return line

    def batch(self, size: int) -> tuple[float, float]:
        """Return the wall and CPU seconds of *size* requests."""
        assert self.process.stdin is not None
        print(size, file=self.process.stdin, flush=True)
        wall, cpu = map(float, self.answer().split())
        return wall, cpu

    def close(self) -> None:
        """End the process."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()


def contender(name: str, port: int, held: bool) -> list[str]:
    """Return the command that runs a contender."""
    return [sys.executable, __file__, "--contender", name, str(port), str(int(held))]


def environment() -> dict[str, str]:
    """Return this process's environment, with the same order of sets for all."""
    return {**os.environ, "PYTHONHASHSEED": "0"}


def contend(name: str, port: int, held: bool) -> None:
    """Be a contender: connect, show it, and do batches of the sizes that are read."""
    asynchronous, make = CLIENTS[name]
    loop = asyncio.new_event_loop()

    def run(work: Callable[..., Any], *args: Any) -> Any:
        async def inside() -> Any:
            result = work(*args)
            return await result if hasattr(result, "__await__") else result

        return loop.run_until_complete(inside()) if asynchronous else work(*args)

    try:
        client, send, close = run(make, port)
    except ImportError as error:
        print(f"missing: {error}", flush=True)
        return
    if held:
        keptalive.hold(client, POLICY)
    run(send)
    found = connections(port)
    assert len(found) == 1, found
    assert (found[0].enabled, found[0].idle == POLICY.idle) == (held, held), found
    print("ready", flush=True)

    async def batch(size: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(size):
            await send()
        return time.perf_counter() - wall, time.process_time() - cpu

    for line in sys.stdin:
        if asynchronous:
            print(*loop.run_until_complete(batch(int(line))), flush=True)
        else:
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                send()
            print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
    run(close)
    loop.close()


def connections(port: int) -> list[keptalive.SocketState]:
    """Return the state of each connection to a port among our descriptors."""
    found = []
    for entry in list(Path("/proc/self/fd").iterdir()):
        if not str(entry.readlink() if entry.is_symlink() else "").startswith("socket:"):
            continue
        with socket.socket(fileno=os.dup(int(entry.name))) as sock:
            if sock.family == socket.AF_INET and sock.getpeername()[1] == port:
                found.append(keptalive.read(sock))
    return found


Times = list[tuple[float, float]]


def race(name: str, port: int, sets: int, rounds: int, size: int) -> tuple[float, list[float], list[float]]:
    """Return held requests/s, and the median ratios (wall, CPU) of plain to held and of plain to plain."""
    held_times: Times = []
    by_held: Times = []
    by_plain: Times = []
    for _ in range(sets):
        with ExitStack() as stack:
            contenders = []
            for held in (False, True, False):
                contenders.append(Contender(name, port, held))
                stack.callback(contenders[-1].close)
                contenders[-1].batch(2 * size)  # warm
            for number in range(rounds):
                turn = [contenders[(number + i) % 3] for i in range(3)]
                taken = {one: one.batch(size) for one in turn}
                plain, held_time, other = (taken[one] for one in contenders)
                held_times.append(held_time)
                by_held.append((plain[0] / held_time[0], plain[1] / held_time[1]))
                by_plain.append((plain[0] / other[0], plain[1] / other[1]))

    def medians(ratios: Times) -> list[float]:
        return [statistics.median(ratio[i] for ratio in ratios) for i in (0, 1)]

    return size / statistics.median(wall for wall, _ in held_times), medians(by_held), medians(by_plain)


def instructions(name: str, port: int, held: bool, few: int = 300, many: int = 1300) -> float:
    """Return the instructions of one request, from two runs of unlike length under valgrind."""
    counts = []
    for size in (few, many):
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        done = subprocess.run(
            [*command, *contender(name, port, held)],
            input=f"{size}\n",
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        if done.stdout.startswith("missing"):
            raise ImportError(done.stdout.strip())
        found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
        assert found, done.stderr
        counts.append(int(found[1].replace(",", "")))
    return (counts[1] - counts[0]) / (many - few)


def timed(names: list[str], port: int, quick: bool) -> list[str]:
    """Time clients and print a table; return those under the target by more than the noise."""
    sets, rounds, size = (1, 5, 50) if quick else (4, 50, 100)
    print(f"{sets} x {rounds} rounds of {size} requests")
    print(f"{'':<14}{'held':>11}{'plain/held':>16}{'plain/plain':>16}")
    print(f"{'client':<14}{'requests/s':>11}{'wall':>8}{'CPU':>8}{'wall':>8}{'CPU':>8}")
    below = []
    for name in names:
        try:
            rate, by_held, by_plain = race(name, port, sets, rounds, size)
        except ImportError as error:
            print(f"{name:<14} {error}")
            continue
        print(f"{name:<14}{rate:>11.0f}" + "".join(f"{x:>8.3f}" for x in (*by_held, *by_plain)), flush=True)
        if max(by_held) < TARGET - max(abs(1 - ratio) for ratio in by_plain):
            below.append(name)
    return below


def counted(names: list[str], port: int) -> list[str]:
    """Count clients' instructions and print a table; return those under the target."""
    print(f"{'client':<14}{'plain':>12}{'held':>12}{'plain/held':>12}   instructions of a request")
    below = []
    for name in names:
        try:
            plain, held = (instructions(name, port, held) for held in (False, True))
        except ImportError as error:
            print(f"{name:<14} {error}")
            continue
        print(f"{name:<14}{plain:>12,.0f}{held:>12,.0f}{plain / held:>12.3f}", flush=True)
        if plain / held < TARGET:
            below.append(name)
    return below


def main() -> int:
    """Time or count the clients; 1 if one stays under the target."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works")
    parser.add_argument("--instructions", action="store_true", help="count instructions, with valgrind")
    parser.add_argument("--contender", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        name, port, held = arguments.contender
        contend(name, int(port), held == "1")
        return 0
    names = arguments.clients or list(CLIENTS)
    print(f"{date.today()}, {platform.platform()}, CPython {platform.python_version()}")
    with server() as number:
        below = counted(names, number) if arguments.instructions else timed(names, number, arguments.quick)
    print(f"to reach: {TARGET}: {'not reached by ' + ', '.join(below) if below else 'reached'}")
    return 1 if below and not arguments.quick else 0


if __name__ == "__main__":
    sys.exit(main())
