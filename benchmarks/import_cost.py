"""What it costs to start: `import keptalive`, and the command line, each in interleaved new processes.

    python benchmarks/import_cost.py [ROUNDS]

To reach: `import keptalive` at most 5 ms above `import socket`, with no module loaded that is not Python's
own; `keptalive --version` at most 1.2 x `python -c "import argparse, socket"`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

MILLISECONDS = 5.0
TIMES = 1.2

COMMANDS = {
    "import socket": [sys.executable, "-c", "import socket"],
    "import keptalive": [sys.executable, "-c", "import keptalive"],
    "both from keptalive": [sys.executable, "-c", "from keptalive import hold, install"],
    "import argparse, socket": [sys.executable, "-c", "import argparse, socket"],
    "keptalive --version": [sys.executable, "-m", "keptalive", "--version"],
}
LOADED = "import sys; before = set(sys.modules); import keptalive; print(*sorted(set(sys.modules) - before))"


def seconds(command: list[str]) -> float:
    """Run a command once; it must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main(rounds: int) -> int:
    """Time all, print a table, and say whether the targets are reached."""
    loaded = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    foreign = {
        name.partition(".")[0]
        for name in loaded.stdout.split()
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "keptalive"}
    }
    assert not foreign, foreign
    print(f"import keptalive loads: {loaded.stdout.strip()}")

    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    for name, taken in times.items():
        print(f"{name:<24} {statistics.median(taken) * 1e3:6.1f} ms")

    more = [
        ours - plain for ours, plain in zip(times["import keptalive"], times["import socket"], strict=True)
    ]
    ratio = [
        ours / plain
        for ours, plain in zip(times["keptalive --version"], times["import argparse, socket"], strict=True)
    ]
    print(f"import keptalive: {statistics.median(more) * 1e3:+.1f} ms, to reach +{MILLISECONDS:g} ms")
    print(f"keptalive --version: {statistics.median(ratio):.2f} x, to reach {TIMES} x")
    return 0 if statistics.median(more) * 1e3 <= MILLISECONDS and statistics.median(ratio) <= TIMES else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 25))
