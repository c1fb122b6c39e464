"""What it costs a process to hold ten thousand requests that wait, against the same process plain.

    python benchmarks/waiting.py [REQUESTS [ROUNDS]]

One aiohttp session sends them all to a server in another process, which answers once all have arrived and
waited for a while; each must be answered, and the kernel must show the policy on every connection, or on
none. Memory is that of the process while all wait, CPU what it took from the first request to the last
answer, probes included: they leave meanwhile. To reach: 1.02 x.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import keptalive

TARGET = 1.02
WAIT = 8.0  # s that all wait; the first probe leaves after 5
POLICY = keptalive.Policy(idle=5, interval=5, count=9)

SERVER = """
import asyncio, resource, sys
number, wait = int(sys.argv[1]), float(sys.argv[2])
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
waiting = set()

class Slow(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        waiting.add(self.transport)
        if len(waiting) == number:
            asyncio.get_running_loop().call_later(wait, self.answer)
    def answer(self):
        for transport in waiting:
            transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
        waiting.clear()

async def main():
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""

CLIENT = """
import asyncio, json, os, resource, sys, time
from pathlib import Path
import aiohttp, keptalive

url, number, wait, held = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

def memory():
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows["VmRSS"].split()[0])

async def main():
    patient = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=patient) as session:
        if held != "plain":
            keptalive.hold(session, keptalive.Policy.parse(held))
        async def ask():
            async with session.get(url) as response:
                return await response.text()
        began = time.process_time()
        asked = [asyncio.ensure_future(ask()) for _ in range(number)]
        while len(os.listdir("/proc/self/fd")) < number:
            await asyncio.sleep(0.5)
        await asyncio.sleep(wait * 0.75)
        waiting = memory()
        answers = await asyncio.gather(*asked)
        cpu = time.process_time() - began
        assert answers == ["hello"] * number
        on = [bool(state.enabled) for state in keptalive.read(session)]
        print(json.dumps({"memory": waiting, "cpu": cpu, "protected": sum(on), "open": len(on)}))

asyncio.run(main())
"""


@contextmanager
def server(number: int) -> Iterator[str]:
    """Run the server; yield its URL."""
    argv = [sys.executable, "-c", SERVER, str(number), str(WAIT)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


def measure(number: int, how: str) -> dict[str, float]:
    """Run one client with that many requests; return what it says of itself."""
    with server(number) as url:
        argv = [sys.executable, "-c", CLIENT, url, str(number), str(WAIT), how]
        environment = {**os.environ, "PYTHONPATH": str(Path(keptalive.__file__).parents[1])}
        done = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout)
    assert found["open"] > 0, "no connection is left to look at"
    assert found["protected"] == (0 if how == "plain" else found["open"]), found
    return found


def main(number: int, rounds: int) -> int:
    """Take turns, print medians and ratios, and say whether the target is reached."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < number + 100:
        sys.exit(f"{number} requests need as many descriptors: the limit here is {most}")
    print(f"{date.today()}, {platform.platform()}, CPython {platform.python_version()}; {number} requests")
    found: dict[str, list[dict[str, float]]] = {"plain": [], str(POLICY): []}
    for turn in range(rounds):
        for how in list(found)[:: 1 if turn % 2 else -1]:
            found[how].append(measure(number, how))
    reached = True
    for what, unit, scale in (("memory", "MB", 1024.0), ("cpu", "s", 1.0)):
        plain, held = ([row[what] / scale for row in rows] for rows in found.values())
        ratio = statistics.median(held) / statistics.median(plain)
        noise = max(plain) / min(plain)
        reached = reached and ratio <= TARGET
        print(
            f"{what:<8} plain {statistics.median(plain):8.2f} {unit}   held {statistics.median(held):8.2f} "
            f"{unit}   {ratio:.3f} x   (plain by itself varies by {noise:.3f} x)"
        )
    print(f"to reach: {TARGET} x: {'reached' if reached else 'not reached'}")
    return 0 if reached else 1


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*given, *(10_000, 5)[len(given) :]))
