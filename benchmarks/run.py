"""What `keptalive run` costs a program: to start, and for each connection; interleaved, correctness first.

    python benchmarks/run.py [ROUNDS]

To reach: at most 40 ms more for `true`; no measurable time more for a connect, which means a ratio to plain
that is as near to 1 as that of plain to plain. Told beside it: the follower's CPU time for programs of
various sizes. The package is used as pip installs it: compiled.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keptalive

MILLISECONDS = 40.0
NOISE = 0.05  # a ratio to plain above this, and above plain's own to plain, could be measured
YOUNG, LATER = 8.0, 8.0  # s: sockets are looked at three times in their first five

#: Opens and closes connections for a while once the follower has had time to begin, and prints the
#: median time of one in microseconds.
CONNECT = """
import socket, statistics, sys, time
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
witness = socket.create_connection(listener.getsockname())
listener.accept()
if sys.argv[1] == "run":
    while not witness.getsockopt(1, 9):
        time.sleep(0.01)
else:
    time.sleep(0.3)
assert bool(witness.getsockopt(1, 9)) == (sys.argv[1] == "run")
times = []
for _ in range(4000):
    started = time.perf_counter()
    sock = socket.socket()
    sock.connect(listener.getsockname())
    sock.close()
    times.append(time.perf_counter() - started)
    listener.accept()[0].close()
print(statistics.median(times) * 1e6)
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
        yield [sys.executable, "-m", "keptalive", "run"]


def milliseconds(command: list[str]) -> float:
    """Run a command once; it must succeed in silence."""
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True)
    taken = time.perf_counter() - started
    assert done.stdout == done.stderr == b"", done
    return taken * 1e3


def start(run: list[str], rounds: int) -> bool:
    """Time `true`; the exit code of `false` must come through."""
    assert subprocess.run([*run, "--", "false"], check=False).returncode == 1
    commands = {
        "true": ["true"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "keptalive run -- true": [*run, "--", "true"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(milliseconds(command))
    for name, taken in times.items():
        print(f"{name:<24} {statistics.median(taken):7.1f} ms  (least {min(taken):.1f})")
    more = statistics.median(
        ours - plain for ours, plain in zip(times["keptalive run -- true"], times["true"], strict=True)
    )
    print(f"adds {more:.1f} ms to true, to reach {MILLISECONDS:g} ms")
    return more <= MILLISECONDS


def connect(run: list[str], rounds: int) -> bool:
    """Time a connect plain, under run, and plain again, which tells what cannot be told apart here."""
    commands = {"plain": [], "run": [*run, "--"], "plain again": []}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, prefix in commands.items():
            command = [*prefix, sys.executable, "-c", CONNECT, name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            times[name].append(float(done.stdout))
    ratios = {
        name: statistics.median(ours / plain for ours, plain in zip(taken, times["plain"], strict=True))
        for name, taken in times.items()
    }
    for name, taken in times.items():
        print(f"connect, {name:<15} {statistics.median(taken):7.1f} us  {ratios[name]:5.3f} x plain")
    measurable = abs(ratios["plain again"] - 1) + NOISE
    return ratios["run"] <= 1 + measurable


def follower_time(run: list[str], processes: int, sockets: int) -> None:
    """Print the follower's CPU time for a program that holds connections: while they are young, and later."""
    with tempfile.TemporaryDirectory() as name:
        summary = Path(name, "summary.json")
        command = [*run, "--summary", str(summary), "--", sys.executable, "-c", HOLD]
        with subprocess.Popen([*command, str(processes), str(sockets), f"{YOUNG + LATER + 1}"]) as program:
            time.sleep(YOUNG)
            follower = _follower(program.pid, summary)
            young = _cpu_seconds(follower)
            time.sleep(LATER)
            later = _cpu_seconds(follower) - young
            memory = int(Path(f"/proc/{follower}/smaps_rollup").read_text().split("Pss:")[1].split()[0])
            assert program.wait() == 0, "a connection was not protected"
        entries = json.loads(summary.read_text())["processes"]
        assert sum(entry["sockets"] for entry in entries) >= processes * (sockets // 2 * 2), entries
    print(
        f"follower, {processes:>3} x {sockets:>4} sockets: {young:5.2f} s CPU in the first {YOUNG:g} s, "
        f"then {later / LATER:5.1%} of a core; {memory / 1024:.1f} MB"
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


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


def main(rounds: int) -> int:
    """Measure all, and say whether the targets are reached."""
    with installed() as run:
        reached = [start(run, rounds), connect(run, max(5, rounds // 3))]
        for processes, sockets in ((1, 10), (1, 1000), (50, 20)):
            follower_time(run, processes, sockets)
    print(f"targets: {'reached' if all(reached) else 'not reached'}")
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 25))
