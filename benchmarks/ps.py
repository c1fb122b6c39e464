"""How long `keptalive ps` takes for many connections: whole commands, interleaved, correctness first.

    python benchmarks/ps.py [CONNECTIONS [ROUNDS]]

To reach, with 20,000 to 30,000 connections: `ps --json`, owners included, 0.95 x `ss -tnop`, 0.7 x psutil
and 0.15 x pyroute2 (which only list, and print nothing); `ps --no-owner` 1.3 x `ss -tno`. As root the
connections live in a network namespace of their own. The package is used as pip installs it: compiled.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

PS = [sys.executable, "-m", "keptalive", "ps"]
COMMANDS = {
    "ss -tno": ["ss", "-tno"],
    "ps --no-owner": [*PS, "--no-owner"],
    "ss -tnop": ["ss", "-tnop"],
    "ps --json": [*PS, "--json"],
    "ps": PS,
    "psutil": [sys.executable, "-c", "import psutil; assert psutil.net_connections('tcp')"],
    "pyroute2": [
        sys.executable,
        "-c",
        "from pyroute2 import DiagSocket as D\nwith D() as s: s.bind(); assert s.get_sock_stats(family=2)",
    ],
}
for absent in (name for name in ("psutil", "pyroute2") if not find_spec(name)):
    del COMMANDS[absent]
TARGETS = (
    ("ps --no-owner", "ss -tno", 1.3),
    ("ps --json", "ss -tnop", 0.95),
    ("ps --json", "psutil", 0.7),
    ("ps --json", "pyroute2", 0.15),
)

#: Two processes hold both ends of connections of loopback; keepalive is on at half of the clients' ends.
HOLD = """
import os, resource, socket, subprocess, sys
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
if sys.argv[2] == "alone":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
done, told = os.pipe()
child = os.fork()
listener = socket.create_server((f"127.0.0.{2 if child else 3}", 0), backlog=64)
held = []
for number in range(int(sys.argv[1]) // 4):
    client = socket.create_connection(listener.getsockname())
    if number % 2:
        client.setsockopt(6, 4, 60 + number % 100)
        client.setsockopt(1, 9, 1)
    held += [client, listener.accept()[0]]
if child:
    os.read(done, 1)
    print("ready", flush=True)
else:
    os.write(told, b".")
sys.stdin.read()
"""


@contextmanager
def connections(count: int) -> Iterator[list[str]]:
    """Hold so many; yield what to put before a command that is to see them."""
    alone = os.geteuid() == 0
    command = [sys.executable, "-c", HOLD, str(count), "alone" if alone else "here"]
    with subprocess.Popen(
        ["unshare", "--net", *command] if alone else command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"] if alone else []


def check(before: list[str], environment: dict[str, str], count: int) -> None:
    """Both list the same connections with the same owner and timer."""
    output = subprocess.run(
        [*before, *COMMANDS["ps --json"]], check=True, capture_output=True, env=environment
    )
    ours = {
        (row["local"], row["remote"], row["pid"], row["timer"])
        for row in json.loads(output.stdout)["connections"]
    }
    listed = subprocess.run([*before, "ss", "-tnopH"], check=True, capture_output=True, text=True)
    theirs = set()
    for line in listed.stdout.splitlines():
        owner = re.search(r"pid=(\d+)", line)
        timer = re.search(r"timer:\((\w+)", line)
        ends = line.split()[3:5]
        theirs.add((*ends, int(owner[1]) if owner else None, timer[1] if timer else "off"))
    assert len(ours & theirs) >= count, (
        f"{len(ours)} and {len(theirs)}, of which the same: {len(ours & theirs)}"
    )
    assert len(ours ^ theirs) < count / 100 or not before, ours ^ theirs


def milliseconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a command once; it must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return (time.perf_counter() - started) * 1e3


def main(count: int, rounds: int) -> int:
    """Check, time all, print a table, and say whether the targets are reached."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as compiled, connections(count) as before:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        for hinders in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
            environment.pop(hinders, None)
        check(before, environment, count)
        for number in range(rounds + 1):
            for name, command in COMMANDS.items():
                one = milliseconds([*before, *command], environment)
                if number:  # the first one compiles
                    times[name].append(one)
    print(f"{count} connections, {rounds} rounds, Python {sys.version.split()[0]}")
    for name, taken in times.items():
        print(f"{name:<14} {statistics.median(taken):8.1f} ms  (least {min(taken):.1f})")
    reached = True
    for ours, theirs, target in TARGETS:
        if theirs not in times:
            print(f"{theirs} is not installed")
            continue
        ratio = statistics.median(times[ours]) / statistics.median(times[theirs])
        least = min(times[ours]) / min(times[theirs])
        reached &= ratio <= target
        print(f"{ours:<14} {ratio:5.2f} x {theirs:<8}  (of the least: {least:.2f}), to reach {target} x")
    print(f"targets: {'reached' if reached else 'not reached'}")
    return 0 if reached else 1


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*arguments, *(25_000, 11)[len(arguments) :]))
