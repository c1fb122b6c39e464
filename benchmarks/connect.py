"""What install() costs a connect: loopback, with the switch on and off, in interleaved rounds.

    python benchmarks/connect.py [--quick]

Loopback is the worst case: nowhere is a connect faster, or the share of a few system calls larger. Timed
are what clients do for a connection, `socket.create_connection()` and the close, and the bare `connect()`.
Each is taken plain, with the four options set and read back by hand (eight system calls, the least that
"set, and read back" can be), and under install(), which asks one more: whether the program has set
keepalive itself. What it is made of is timed piece by piece, and the system calls are counted.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median

from figures import Figure, Findings, parser, table, tell
from peers import absent
from rounds import ratios, taking_turns

import keptalive

OPTIONS = keptalive.socket_options()
CALLS = ("socket", "connect", "setsockopt", "getsockopt", "close")

CONNECTION = Figure("connection with `install()` on, read back included", "plain, loopback", 1.15)
CONNECTION_BY_HAND = Figure("connection, options set and read back by hand", "plain, loopback")
CONNECT = Figure("bare `connect()` with `install()` on, read back included", "plain, loopback", 1.15)
CONNECT_BY_HAND = Figure("bare `connect()`, options set and read back by hand", "plain, loopback")
OWN = Figure("connection with `install()` on", "options set and read back by hand", 1.15)
ROWS = (CONNECTION, CONNECTION_BY_HAND, CONNECT, CONNECT_BY_HAND, OWN)

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


def set_only(sock: socket.socket) -> None:
    """Set the options, and trust in it."""
    for level, number, value in OPTIONS:
        sock.setsockopt(level, number, value)


def set_and_read(sock: socket.socket) -> None:
    """Set the options and read them back: no less can be done."""
    set_only(sock)
    for level, number, _ in OPTIONS:
        sock.getsockopt(level, number)


def with_(what: Callable[[socket.socket], None], way: Way) -> Way:
    """Return *way* with the options set by hand, and nothing else."""

    def timed(address: Address) -> tuple[float, socket.socket]:
        seconds, sock = way(address)
        started = time.perf_counter()
        what(sock)
        return seconds + time.perf_counter() - started, sock

    return timed


def seconds_of_one(way: Way, *, listener: socket.socket, on: bool, held: bool, count: int) -> float:
    """Return the median of a round; every socket must hold the policy, or not, as it is meant to."""
    times = []
    with keptalive.installed() if on else nullcontext():
        for _ in range(count):
            seconds, sock = way(listener.getsockname())
            with sock:
                state = keptalive.read(sock)
            assert state.enabled is held, state
            assert not held or state.protects(keptalive.Policy()), state
            times.append(seconds)
            listener.accept()[0].close()
    return median(times)


def compare(way: Way, rounds: int, count: int) -> dict[str, list[float]]:
    """Return the seconds of one connect, each way in turn."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        one = partial(seconds_of_one, listener=listener, count=count)
        rivals = {
            "plain": partial(one, way, on=False, held=False),
            "only set, by hand": partial(one, with_(set_only, way), on=False, held=True),
            "by hand": partial(one, with_(set_and_read, way), on=False, held=True),
            "install()": partial(one, way, on=True, held=True),
        }
        return taking_turns(rivals, rounds)


def pieces(times: int) -> list[tuple[str, float]]:
    """Return what install() does before a connect, piece by piece, and the microseconds of each in a loop."""
    import keptalive.cover
    import keptalive.process_wide.ruling
    import keptalive.sockets

    rule = keptalive.process_wide.ruling.Rule(keptalive.cover.Cover(), None)
    level, number, _ = OPTIONS[-1]

    def get(sock: socket.socket) -> None:
        for level_, number_, _ in OPTIONS:
            sock.getsockopt(level_, number_)

    def of(piece: Callable[[socket.socket], object], before: bool = False) -> float:
        """The least of several loops. *before* says that keepalive is off again each time: not timed."""
        with socket.socket() as sock:
            if not before:
                return min(timeit.repeat(lambda: piece(sock), number=times, repeat=200)) / times * 1e6

            def again() -> None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
                piece(sock)

            both = min(timeit.repeat(again, number=times, repeat=200)) / times * 1e6
            return both - of(lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0))

    setting, reading = of(set_only), of(get)
    asking = of(lambda sock: sock.getsockopt(level, number))
    whole = of(lambda sock: rule.connecting(sock, ("127.0.0.1", 1)), before=True)
    return [
        ("set four options: four system calls", setting),
        ("read them back: four system calls", reading),
        ("has the program set keepalive itself? One system call", asking),
        ("is it a TCP socket? No system call", of(keptalive.sockets.is_tcp)),
        ("all that `install()` does before a connect", whole),
    ]


def counted(count: int) -> str:
    """Return how often each system call is made for a connection, in a table; strace counts."""
    if missing := absent("strace"):
        return f"System calls were not counted: {missing}."
    found: dict[str, dict[str, int]] = {}
    for name in ("plain", "by hand", "install()"):
        many, none = (_strace(name, times) for times in (count, 0))
        found[name] = {call: round((many[call] - none[call]) / count) for call in CALLS}
    rows = [(f"`{call}`", *(str(calls[call]) for calls in found.values())) for call in CALLS]
    rows.append(("all of these", *(str(sum(calls.values())) for calls in found.values())))
    return table(("system calls of a connection", *found), rows)


def _strace(name: str, times: int) -> dict[str, int]:
    """Return the system calls of a process that connects so often."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "calls")
        command = ["strace", "-f", "-o", str(file), "-e", f"trace={','.join(CALLS)}"]
        subprocess.run([*command, sys.executable, __file__, "--connect", name, str(times)], check=True)
        calls = re.findall(r"^\d+ +(\w+)\(", file.read_text(), re.MULTILINE)
    return {call: calls.count(call) for call in CALLS}


def connect_often(name: str, times: int) -> None:
    """Be the process whose system calls are counted."""
    if name == "install()":
        keptalive.install()
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        for _ in range(times):
            with socket.create_connection(listener.getsockname()) as sock:
                if name == "by hand":
                    set_and_read(sock)


def measure(quick: bool) -> Findings:
    """Compare all, then look at what it is made of."""
    rounds, count = (2, 20) if quick else (60, 300)
    whole = compare(connection, rounds, count)
    bare = compare(connect, rounds, count)
    figures = [
        CONNECTION.measured(ratios(whole["install()"], whole["plain"])),
        CONNECTION_BY_HAND.measured(ratios(whole["by hand"], whole["plain"])),
        CONNECT.measured(ratios(bare["install()"], bare["plain"])),
        CONNECT_BY_HAND.measured(ratios(bare["by hand"], bare["plain"])),
        OWN.measured(ratios(whole["install()"], whole["by hand"])),
    ]
    rows = [
        (
            f"{kind}, {name}",
            f"{median(taken) * 1e6:.1f}",
            f"{min(taken) * 1e6:.1f}",
            f"{median(ratios(taken, times['plain'])):.2f}",
        )
        for kind, times in (("connection", whole), ("`connect()`", bare))
        for name, taken in times.items()
    ]
    plain = median(whole["plain"]) * 1e6
    parts = pieces(20 if quick else 200)
    cells = [(what, f"{micro:.2f}", f"{micro / plain:.1%}") for what, micro in parts]
    return Findings(
        figures,
        [
            table(("", "us", "least", "to plain"), rows),
            table(("in a loop of its own", "us", "of a plain connection"), cells),
            counted(10 if quick else 200),
            why(figures, dict(parts)),
        ],
    )


def why(figures: list[Figure], parts: dict[str, float]) -> str:
    """Return what of the cost is the kernel's and what is ours."""
    whole, by_hand = figures[0], figures[1]
    *kernel, _tcp, all_ = parts.values()
    said = (
        f"Of the {all_:.1f} us that `install()` takes, {sum(kernel):.1f} are its nine system calls. Setting "
        f"the four options and reading them back takes eight of them, and makes a connection "
        f"{by_hand.median:.2f} x a plain one; with `install()` it is {whole.median:.2f} x."
    )
    if CONNECTION.limit is not None and by_hand.median > CONNECTION.limit:
        said += f" So {CONNECTION.limit} x cannot be reached here while what was set is read back."
    return said


def main() -> int:
    """Measure all, and say whether the figures are reached."""
    made = parser(__doc__)
    made.add_argument("--connect", nargs=2, metavar=("HOW", "TIMES"), help="only connect so often")
    arguments = made.parse_args()
    if arguments.connect:
        connect_often(arguments.connect[0], int(arguments.connect[1]))
        return 0
    return tell(ROWS, lambda: measure(arguments.quick), arguments)


if __name__ == "__main__":
    sys.exit(main())
