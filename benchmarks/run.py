"""What `keptalive run` costs a program: to start, and for each connection; interleaved, correctness first.

    python benchmarks/run.py [--quick]

Beside it libkeepalive, which is loaded into the program (LD_PRELOAD) and sets the options when a socket is
made; keptalive run sets them from outside a moment later, so a connect costs what it cost: its ratio to plain
is as near to 1 as that of plain to plain. Told beside it: the follower's CPU time for programs of various
sizes. The package is used as pip installs it: compiled.
"""

from __future__ import annotations

import compileall
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from figures import Figure, Findings, parser, table, tell
from peers import absent
from rounds import cpu_seconds, differences, milliseconds, ratios, taking_turns

import keptalive

NOISE = 0.05  # a ratio to plain above this, and above plain's own to plain, could be measured
YOUNG, LATER = 8.0, 8.0  # s: sockets are looked at three times in their first five
LOADED = {"LD_PRELOAD": "libkeepalive.so", "KEEPIDLE": "45", "KEEPINTVL": "15", "KEEPCNT": "9"}

START = Figure("`keptalive run -- true`", "`true`", 40, "ms more", digits=1)
START_LOADED = Figure("libkeepalive, `true`", "`true`", unit="ms more", digits=1)
CONNECT = Figure("connect under `keptalive run`", "plain, loopback", 1)
CONNECT_LOADED = Figure("connect under libkeepalive", "plain, loopback")
ROWS = (START, START_LOADED, CONNECT, CONNECT_LOADED)

#: Opens and closes connections for a while once the follower has had time to begin, and prints the
#: median time of one in microseconds.
CONNECTING = """
import socket, statistics, sys, time
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
witness = socket.create_connection(listener.getsockname())
listener.accept()
if sys.argv[1] == "run":
    while not witness.getsockopt(1, 9):
        time.sleep(0.01)
else:
    time.sleep(0.3)
values = [witness.getsockopt(1, 9)] + [witness.getsockopt(6, number) for number in (4, 5, 6)]
assert (values == [1, 45, 15, 9]) == (not sys.argv[1].startswith("plain")), values
times = []
for _ in range(int(sys.argv[2])):
    started = time.perf_counter()
    sock = socket.socket()
    sock.connect(listener.getsockname())
    sock.close()
    times.append(time.perf_counter() - started)
    listener.accept()[0].close()
print(statistics.median(times) * 1e6)
"""

#: Is a connection protected, five seconds from now at the latest, in a program with an empty environment?
CLEANED = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
sock = socket.create_connection(listener.getsockname())
until = time.monotonic() + 5
while not sock.getsockopt(1, 9) and time.monotonic() < until:
    time.sleep(0.01)
print(sock.getsockopt(1, 9))
"""

#: Holds so many connections in so many processes for a while; tells whether all were protected.
HOLD = """
import os, resource, socket, sys, time
processes, sockets, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
for _ in range(processes - 1):
    if os.fork() == 0:
        break
held = []
for _ in range(sockets // 2):
    held.append(socket.create_connection(listener.getsockname()))
    held.append(listener.accept()[0])
time.sleep(seconds)
sys.exit(not all(sock.getsockopt(1, 9) for sock in held))
"""


@contextmanager
def installed() -> Iterator[list[str]]:
    """Yield the command, from a copy of the package with its bytecode."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name, "keptalive")
        shutil.copytree(Path(keptalive.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(copy, quiet=2)
        os.environ["PYTHONPATH"] = name
        yield [sys.executable, "-m", "keptalive", "run", "--"]


#: What stands before a program, and what is in its environment.
Way = tuple[list[str], "dict[str, str] | None"]


def start(ways: dict[str, Way], rounds: int) -> tuple[dict[str, list[float]], str]:
    """Time `true`: return each way's milliseconds above plain. The exit code of `false` must come through."""
    timed = {"python -c pass": partial(milliseconds, [sys.executable, "-c", "pass"])}
    for way, (before, environment) in ways.items():
        assert subprocess.run([*before, "false"], env=environment, check=False).returncode == 1
        done = subprocess.run([*before, "true"], env=environment, check=True, capture_output=True)
        assert done.stdout == done.stderr == b"", done
        timed[f"true, {way}"] = partial(milliseconds, [*before, "true"], environment)
    times = taking_turns(timed, rounds)
    rows = [(name, f"{median(taken):.1f}", f"{min(taken):.1f}") for name, taken in times.items()]
    more = {way: differences(times[f"true, {way}"], times["true, plain"]) for way in ways}
    return more, table(("start to end", "ms", "least"), rows)


def connect(ways: dict[str, Way], rounds: int, times: int) -> tuple[dict[str, list[float]], str]:
    """Time a connect each way, and plain again: what cannot be told apart. Return the ratios to plain."""

    def microseconds(name: str, way: Way) -> float:
        how = "run" if name == "keptalive run" else name
        command = [*way[0], sys.executable, "-c", CONNECTING, how, str(times)]
        done = subprocess.run(command, env=way[1], check=True, capture_output=True, text=True)
        return float(done.stdout)

    named = {**ways, "plain again": ways["plain"]}
    found = taking_turns({name: partial(microseconds, name, way) for name, way in named.items()}, rounds)
    by_plain = {name: ratios(taken, found["plain"]) for name, taken in found.items()}
    rows = [(name, f"{median(taken):.1f}", f"{median(by_plain[name]):.3f}") for name, taken in found.items()]
    return by_plain, table(("connect and close", "us", "to plain"), rows)


def reach(ways: dict[str, Way]) -> str:
    """Return which way reaches a program that is started with an empty environment."""
    rows = []
    for name, (before, environment) in ways.items():
        if name == "plain":
            continue
        command = [*before, "env", "-i", sys.executable, "-c", CLEANED]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        protected = done.stdout.strip() == "1"
        assert protected == (name == "keptalive run"), name
        rows.append((name, "yes" if protected else "no"))
    return table(("is protected", "a program with an empty environment (`env -i`)"), rows)


def follower_time(
    run: list[str], processes: int, sockets: int, young: float, later: float
) -> tuple[str, ...]:
    """Return the follower's CPU time for a program with connections: while they are young, and later."""
    with tempfile.TemporaryDirectory() as name:
        summary = Path(name, "summary.json")
        command = [*run[:-1], "--summary", str(summary), *run[-1:], sys.executable, "-c", HOLD]
        arguments = [str(processes), str(sockets), f"{young + later + 1}"]
        with subprocess.Popen([*command, *arguments]) as program:
            time.sleep(young)
            follower = _follower(program.pid, summary)
            at_first = cpu_seconds(follower)
            time.sleep(later)
            then = cpu_seconds(follower) - at_first
            memory = int(Path(f"/proc/{follower}/smaps_rollup").read_text().split("Pss:")[1].split()[0])
            ended = os.pidfd_open(follower)
            assert program.wait() == 0, "a connection was not protected"
        select.select([ended], [], [])  # then the summary is complete
        os.close(ended)
        entries = json.loads(summary.read_text())["processes"]
        assert sum(entry["sockets"] for entry in entries) >= processes * (sockets // 2 * 2), entries
    return (
        f"{processes} x {sockets} connections",
        f"{at_first:.2f} s in {young:g} s",
        f"{then / later:.1%} of a core",
        f"{memory / 1024:.1f} MB",
    )


def _follower(program: int, summary: Path) -> int:
    """Return the process whose command line names the summary, and which is not the program."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != program:
            try:
                if str(summary) in (entry / "cmdline").read_text():
                    return int(entry.name)
            except OSError:
                continue
    raise AssertionError("there is no follower")


def measure(quick: bool) -> Findings:
    """Measure all."""
    missing = absent("libkeepalive")
    with installed() as run:
        ways: dict[str, Way] = {"plain": ([], None), "keptalive run": (run, None)}
        if not missing:
            ways["libkeepalive"] = ([], {**os.environ, **LOADED})
        more, starts = start(ways, 2 if quick else 40)
        by_plain, connects = connect(ways, *((1, 200) if quick else (12, 4000)))
        sizes = ((1, 10),) if quick else ((1, 10), (1, 1000), (50, 20))
        periods = (2.0, 1.0) if quick else (YOUNG, LATER)
        costs = [follower_time(run, *size, *periods) for size in sizes]
        reached = reach(ways)
    noise = abs(median(by_plain["plain again"]) - 1) + NOISE
    figures = [
        START.measured(more["keptalive run"]),
        START_LOADED.without(missing) if missing else START_LOADED.measured(more["libkeepalive"]),
        CONNECT.measured(by_plain["keptalive run"], noise),
        CONNECT_LOADED.without(missing) if missing else CONNECT_LOADED.measured(by_plain["libkeepalive"]),
    ]
    head = ("the follower's CPU time", "at first", "then", "memory")
    return Findings(figures, [starts, connects, reached, table(head, costs)])


def main() -> int:
    """Measure, and say whether the figures are reached."""
    arguments = parser(__doc__).parse_args()
    return tell(ROWS, lambda: measure(arguments.quick), arguments)


if __name__ == "__main__":
    sys.exit(main())
