"""What install() costs a connect: loopback, with the switch on and off, in interleaved rounds.

    python benchmarks/connect.py [ROUNDS]

Loopback is the worst case: nowhere is a connect faster, or the share of a few system calls larger. Timed
are the bare connect() and what clients do for a connection: `socket.create_connection()` and the close.
Each is taken plain, with the four options set and read back by hand (eight system calls, the least that
"set, and read back" can be), and under install(), which asks one more: whether the program has set
keepalive itself. To reach: 1.15 x plain; and 1.15 x by hand, which says what of it is keptalive's own.
"""

from __future__ import annotations

import socket
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import keptalive

PER_ROUND = 300
TARGET = 1.15
OPTIONS = keptalive.socket_options()

Address = tuple[str, int]
Way = Callable[[Address], tuple[float, socket.socket]]


def connect(address: Address) -> tuple[float, socket.socket]:
    """Time connect() alone."""
    sock = socket.socket()
    started = time.perf_counter()
    sock.connect(address)
    return time.perf_counter() - started, sock


def connection(address: Address) -> tuple[float, socket.socket]:
    """Time a connection as clients make it, from the look-up of the address to the close."""
    started = time.perf_counter()
    sock = socket.create_connection(address)
    opened = time.perf_counter() - started
    copy = sock.dup()  # to look at when the time has been taken
    started = time.perf_counter()
    sock.close()
    return opened + time.perf_counter() - started, copy


def by_hand(way: Way) -> Way:
    """Return *way* with the options set and read back, and nothing else."""

    def timed(address: Address) -> tuple[float, socket.socket]:
        seconds, sock = way(address)
        started = time.perf_counter()
        for level, number, value in OPTIONS:
            sock.setsockopt(level, number, value)
        for level, number, _ in OPTIONS:
            sock.getsockopt(level, number)
        return seconds + time.perf_counter() - started, sock

    return timed


def seconds_of_one(way: Way, listener: socket.socket, on: bool, held: bool) -> float:
    """Return the median of a round; every socket must hold the policy, or not, as it is meant to."""
    times = []
    with keptalive.installed() if on else nullcontext():
        for _ in range(PER_ROUND):
            seconds, sock = way(listener.getsockname())
            with sock:
                state = keptalive.read(sock)
            assert state.enabled is held, state
            assert not held or state.protects(keptalive.Policy()), state
            times.append(seconds)
            listener.accept()[0].close()
    return statistics.median(times)


def main(rounds: int) -> int:
    """Time all, print a table, and say whether the targets are reached."""
    reached = True
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        for name, way in (("connect()", connect), ("connection", connection)):
            times: dict[str, list[float]] = {"plain": [], "by hand": [], "install()": []}
            for _ in range(rounds):
                times["plain"].append(seconds_of_one(way, listener, on=False, held=False))
                times["by hand"].append(seconds_of_one(by_hand(way), listener, on=False, held=True))
                times["install()"].append(seconds_of_one(way, listener, on=True, held=True))
            for what, seconds in times.items():
                ratio = {
                    other: statistics.median(a / b for a, b in zip(seconds, times[other], strict=True))
                    for other in ("plain", "by hand")
                }
                print(
                    f"{name:<11} {what:<10} {statistics.median(seconds) * 1e6:6.1f} us"
                    f"  {ratio['plain']:5.2f} x plain  {ratio['by hand']:5.2f} x by hand"
                )
                if what == "install()":
                    reached &= max(ratio.values()) <= TARGET
    print(f"to reach: {TARGET} x: {'reached' if reached else 'not reached'}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 25))
