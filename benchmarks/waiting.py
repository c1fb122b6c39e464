"""What it costs a process to hold ten thousand requests that wait, against the same process plain.

    python benchmarks/waiting.py [--quick]

One aiohttp session sends them all to a server in another process, which answers once all have arrived and
waited for a while; each must be answered, and the kernel must show the policy on every connection, or on
none. Memory is that of the process while all wait, CPU what it took from the first request to the last
answer, probes included: they leave meanwhile.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from figures import Figure, Findings, parser, table, tell
from peers import absent
from rounds import ratios, taking_turns

import keptalive

REQUESTS = 10_000
MEMORY = Figure("10,000 held requests that wait: memory", "the same plain", 1.02)
CPU = Figure("10,000 held requests that wait: CPU time", "the same plain", 1.02)
ROWS = (MEMORY, CPU)

PROBE_AFTER = 5  # s: the first probe leaves while all wait
WAIT = 8.0  # s that all wait

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
def server(number: int, wait: float) -> Iterator[str]:
    """Run the server; yield its URL."""
    argv = [sys.executable, "-c", SERVER, str(number), str(wait)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


def one(how: str, number: int, wait: float) -> dict[str, float]:
    """Run one client with that many requests; return what it says of itself."""
    with server(number, wait) as url:
        argv = [sys.executable, "-c", CLIENT, url, str(number), str(wait), how]
        environment = {**os.environ, "PYTHONPATH": str(Path(keptalive.__file__).parents[1])}
        done = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout)
    assert found["open"] > 0, "no connection is left to look at"
    assert found["protected"] == (0 if how == "plain" else found["open"]), found
    return found


def measure(quick: bool) -> Findings:
    """Take turns."""
    if missing := absent("aiohttp"):
        return Findings([row.without(missing) for row in ROWS], [])
    number, wait, rounds = (200, 2.0, 1) if quick else (REQUESTS, WAIT, 7)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < number + 100:
        return Findings([row.without(f"the limit of descriptors here is {most}") for row in ROWS], [])
    first_probe = 1 if quick else PROBE_AFTER
    policy = keptalive.Policy(idle=first_probe, interval=first_probe, count=9)
    ways = {"plain": "plain", "held": str(policy)}
    found = taking_turns(
        {name: partial(one, how, number, wait) for name, how in ways.items()}, rounds, warm=0
    )
    figures, rows = [], []
    for row, what, unit, scale in ((MEMORY, "memory", "MB", 1024.0), (CPU, "cpu", "s", 1.0)):
        plain, held = ([each[what] / scale for each in found[name]] for name in ways)
        figures.append(row.measured(ratios(held, plain)))
        varies = f"{max(plain) / min(plain):.3f} x"
        rows.append((what, f"{median(plain):.2f} {unit}", f"{median(held):.2f} {unit}", varies))
    head = ("", "plain", "held", "plain by itself varies by")
    return Findings(figures, [f"aiohttp, {number} requests, {rounds} rounds.", table(head, rows)])


def main() -> int:
    """Measure, and say whether the figures are reached."""
    arguments = parser(__doc__).parse_args()
    return tell(ROWS, lambda: measure(arguments.quick), arguments)


if __name__ == "__main__":
    sys.exit(main())
