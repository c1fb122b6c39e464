"""Requests per second of each held client against the same client plain, and against requests-toolbelt.

    python benchmarks/clients.py [--quick] [--instructions] [CLIENT ...]

Over one connection that is kept, to a server in another process that answers at once: nowhere is a request
cheaper, or a call more per request a larger share. Each runs in a process of its own and shows the policy on
its live socket, or none. Then they take turns in many short rounds, in several sets of processes, because
where memory comes to lie is worth a percent as well. A ratio is of requests per second: above 1 held was the
faster. Beside it stands the same for plain against another plain, which says how far to trust it; on a busy
machine CPU time is the steadier measure.

Where `valgrind` is installed, --instructions counts instead: the instructions of a request, which no other
program on the machine changes. The kernel's are not in it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median

from contender import CLIENTS, POLICY, Contender, command, connections, environment, server
from figures import Figure, Findings, parser, table, tell
from peers import absent
from rounds import ratios, taking_turns

LIMIT = 0.99
HELD = {
    name: Figure(f"requests/s of a held client: {name}", "the same plain", LIMIT, at_least=True)
    for name in CLIENTS
}
ADAPTERS = {
    "toolbelt's adapter": Figure("requests/s, requests-toolbelt's adapter", "requests plain"),
    "keptalive's adapter": Figure("requests/s, keptalive's adapter", "requests plain"),
}
BESIDE = Figure("requests/s of a held client: requests", "requests-toolbelt's adapter", LIMIT, at_least=True)
ROWS = (*HELD.values(), *ADAPTERS.values(), BESIDE)

AGAIN = "plain again"
Times = list[tuple[float, float]]  # wall and CPU seconds of each round


def race(name: str, port: int, ways: Sequence[str], *, sets: int, rounds: int, size: int) -> dict[str, Times]:
    """Return the times of each way, in rounds that took turns. ImportError if the client is not here."""
    found: dict[str, Times] = {way: [] for way in ways}
    for _ in range(sets):
        with ExitStack() as stack:
            rivals = {}
            for way in ways:
                contender = Contender(name, port, "plain" if way == AGAIN else way)
                stack.callback(contender.close)
                contender.batch(2 * size)  # warm
                rivals[way] = partial(contender.batch, size)
            for way, times in taking_turns(rivals, rounds).items():
                found[way] += times
    return found


def faster(found: dict[str, Times], ours: str, theirs: str, which: int = 0) -> list[float]:
    """Return the ratio of requests/s of each round: wall (0) or CPU (1)."""
    return ratios([times[which] for times in found[theirs]], [times[which] for times in found[ours]])


def noise_of(by_plain: Sequence[float], rounds: int) -> float:
    """Return by how much plain differs from plain: in all rounds, or in a set of processes as such."""
    sets = [by_plain[first : first + rounds] for first in range(0, len(by_plain), rounds)]
    return max(abs(1 - median(by_plain)), median(abs(1 - median(one)) for one in sets))


def timed(names: Sequence[str], port: int, quick: bool) -> Findings:
    """Time clients."""
    sets, rounds, size = (1, 2, 10) if quick else (8, 20, 100)
    figures, rows = [], []
    for name in names:
        ways = ["plain", "hold()", AGAIN]
        if name == "requests":
            ways += [
                way for way in ADAPTERS if way != "toolbelt's adapter" or not absent("requests-toolbelt")
            ]
        try:
            found = race(name, port, ways, sets=sets, rounds=rounds, size=size)
        except ImportError:
            figures.append(HELD[name].without(f"{name} is not installed"))
            continue
        noise = noise_of(faster(found, AGAIN, "plain"), rounds)
        figures.append(HELD[name].measured(faster(found, "hold()", "plain"), noise))
        for way, figure in ADAPTERS.items() if name == "requests" else ():
            figures.append(
                figure.measured(faster(found, way, "plain"))
                if way in found
                else figure.without(absent("requests-toolbelt"))
            )
        if name == "requests":
            figures.append(
                BESIDE.measured(faster(found, "hold()", "toolbelt's adapter"), noise)
                if "toolbelt's adapter" in found
                else BESIDE.without(absent("requests-toolbelt"))
            )
        for way in ways[1:]:
            rate = size / median(wall for wall, _ in found[way])
            by = (f"{median(faster(found, way, 'plain', which)):.3f}" for which in (0, 1))
            rows.append((name, way, f"{rate:.0f}", *by))
    head = ("client", "", "requests/s", "to plain", "by CPU time")
    return Findings(
        figures, [f"{sets} x {rounds} rounds of {size} requests.", table(head, rows), *kept(port)]
    )


def kept(port: int) -> list[str]:
    """Return what each way makes a requests session hold on the live socket, alone and through a proxy."""
    try:
        import requests
        from contender import WAYS
    except ImportError:
        return []
    rows = []
    for way, use in WAYS.items():
        if way == "toolbelt's adapter" and absent("requests-toolbelt"):
            continue
        cells = []
        for proxies in ({}, {"http": f"http://127.0.0.1:{port}"}):
            with requests.Session() as session:
                session.trust_env = False
                use(session)
                session.get(f"http://127.0.0.1:{port}/", proxies=proxies)
                (state,) = connections(port)
            cells.append(str(state))
        rows.append((way, *cells))
    asked = f"idle {POLICY.idle} s, interval {POLICY.interval} s, count {POLICY.count}"
    return [table(("requests, asked for " + asked, "the socket holds", "through an HTTP proxy"), rows)]


def instructions(name: str, port: int, way: str, few: int = 300, many: int = 1300) -> float:
    """Return the instructions of one request, from two runs of unlike length under valgrind."""
    counts = []
    for size in (few, many):
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        done = subprocess.run(
            [*valgrind, *command(name, port, way)],
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


def counted(names: Sequence[str], port: int) -> Findings:
    """Count clients' instructions instead."""
    figures, rows = [], []
    for name in names:
        try:
            plain, held = (instructions(name, port, way) for way in ("plain", "hold()"))
        except ImportError:
            figures.append(HELD[name].without(f"{name} is not installed"))
            continue
        figures.append(HELD[name].measured([plain / held]))
        rows.append((name, f"{plain:,.0f}", f"{held:,.0f}"))
    return Findings(figures, [table(("instructions of a request", "plain", "held"), rows)])


def main() -> int:
    """Time or count the clients; 1 if one stays under the limit."""
    made = parser(__doc__)
    made.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    made.add_argument("--instructions", action="store_true", help="count instructions, with valgrind")
    arguments = made.parse_args()
    names = arguments.clients or list(CLIENTS)

    def measure() -> Findings:
        with server() as port:
            return counted(names, port) if arguments.instructions else timed(names, port, arguments.quick)

    return tell(ROWS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
