"""How long `keptalive ps` takes for many connections: whole commands, interleaved, correctness first.

    python benchmarks/ps.py [--quick] [--connections N]

Before anything is timed, each peer must list the very same connections, and the same owners and timers as
far as it lists any; what it does not list is told. psutil and pyroute2 only list and print nothing. As root
the connections live in a network namespace of their own. Python keeps its bytecode, as for what pip
installed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from figures import Figure, Findings, parser, table, tell
from peers import absent
from rounds import compiled, milliseconds, ratios, taking_turns

PS = [sys.executable, "-m", "keptalive", "ps"]

JSON = "`ps --json`, owners included"
SS = Figure(JSON, "`ss -tnop`", 0.95)
PSUTIL = Figure(JSON, "psutil, which only lists", 0.7)
PYROUTE2 = Figure(JSON, "pyroute2, which only lists, without owners", 0.15)
NETSTAT = Figure(JSON, "`netstat -tnop`")
LSOF = Figure(JSON, "`lsof -nP -iTCP`")
NO_OWNER = Figure("`ps --no-owner`", "`ss -tno`", 1.3)
ROWS = (SS, PSUTIL, PYROUTE2, NETSTAT, LSOF, NO_OWNER)

#: local, remote, process id, timer; None for what is not told.
Row = tuple[str, str, "int | None", "str | None"]


def _of_keptalive(text: str) -> Iterator[Row]:
    for row in json.loads(text)["connections"]:
        yield row["local"], row["remote"], row["pid"], row["timer"]


def _of_ss(text: str) -> Iterator[Row]:
    for line in text.splitlines()[1:]:
        local, remote = line.split()[3:5]
        owner, timer = re.search(r"pid=(\d+)", line), re.search(r"timer:\((\w+)", line)
        yield local, remote, int(owner[1]) if owner else None, timer[1] if timer else "off"


def _of_netstat(text: str) -> Iterator[Row]:
    for line in text.splitlines()[2:]:
        fields = line.split()
        owner = re.match(r"(\d+)/", fields[6])
        timer = re.search(r"(\w+) \([\d./]+\)\s*$", line)
        yield fields[3], fields[4], int(owner[1]) if owner else None, timer[1] if timer else None


def _of_lsof(text: str) -> Iterator[Row]:
    for line in text.splitlines()[1:]:
        if ends := re.search(r"TCP (\S+)->(\S+)", line):
            owner = re.search(r" (\d+) ", line)
            assert owner, line
            yield ends[1], ends[2], int(owner[1]), None


def _of_lines(text: str) -> Iterator[Row]:
    for line in text.splitlines():
        local, remote, pid = line.split()
        yield local, remote, None if pid == "None" else int(pid), None


@dataclass(frozen=True)
class Peer:
    """A command to time, and what it lists."""

    command: list[str]
    rows: Callable[[str], Iterator[Row]] | None = None  # None: it is checked in another form
    listing: list[str] | None = None  # the command that prints what the timed one only lists
    needs: str = ""
    columns: str = ""  # of what we show, what it has


_PSUTIL = "import psutil; found = psutil.net_connections('tcp'); assert found"
_PSUTIL_PRINTS = """
for one in found:
    if one.raddr:
        print("%s:%s %s:%s" % (*one.laddr, *one.raddr), one.pid)
"""
_PYROUTE2 = """
from pyroute2 import DiagSocket
with DiagSocket() as diag:
    diag.bind()
    found = diag.get_sock_stats(family=2)
assert found
"""
_PYROUTE2_PRINTS = """
for one in found:
    at = lambda end: "%s:%s" % (one["idiag_" + end], one["idiag_%sport" % end[0]])
    print(at("src"), at("dst"), None)
"""


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


PEERS = {
    "ss -tno": Peer(["ss", "-tno"], needs="ss"),
    "ps --no-owner": Peer([*PS, "--no-owner"]),
    "ss -tnop": Peer(["ss", "-tnop"], _of_ss, needs="ss"),
    "ps --json": Peer([*PS, "--json"], _of_keptalive),
    "ps": Peer(PS),
    "netstat -tnop": Peer(["netstat", "-tnop"], _of_netstat, needs="netstat"),
    "lsof -nP -iTCP": Peer(["lsof", "-nP", "-iTCP"], _of_lsof, needs="lsof"),
    "psutil": Peer(_python(_PSUTIL), _of_lines, _python(_PSUTIL + _PSUTIL_PRINTS), "psutil"),
    "pyroute2": Peer(_python(_PYROUTE2), _of_lines, _python(_PYROUTE2 + _PYROUTE2_PRINTS), "pyroute2"),
}
AGAINST = {
    SS: ("ps --json", "ss -tnop"),
    PSUTIL: ("ps --json", "psutil"),
    PYROUTE2: ("ps --json", "pyroute2"),
    NETSTAT: ("ps --json", "netstat -tnop"),
    LSOF: ("ps --json", "lsof -nP -iTCP"),
    NO_OWNER: ("ps --no-owner", "ss -tno"),
}

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


def check(
    before: list[str], environment: dict[str, str], count: int, names: list[str]
) -> list[tuple[str, ...]]:
    """See that all list the same connections, owners and timers; return what each lists of them."""
    listed = {}
    for name in names:
        peer = PEERS[name]
        if peer.rows is None:
            continue
        output = subprocess.run(
            [*before, *(peer.listing or peer.command)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        ends = ("127.0.0.2:", "127.0.0.3:")  # the holders': beside them may be others, if not as root
        listed[name] = {
            row
            for row in peer.rows(output.stdout)
            if (row[0].startswith(ends) or row[1].startswith(ends)) and row[1] != "0.0.0.0:0"
        }
    ours = listed["ps --json"]
    assert len(ours) == count // 4 * 4, len(ours)
    table_ = []
    for name, theirs in listed.items():
        owners, timers = (any(row[i] is not None for row in theirs) for i in (2, 3))

        def told(rows: set[Row], owners: bool = owners, timers: bool = timers) -> set[tuple[Any, ...]]:
            return {(*row[:2], row[2] if owners else None, row[3] if timers else None) for row in rows}

        different = told(ours) ^ told(theirs)
        assert not different, (name, len(different), sorted(different, key=str)[:4])
        table_.append(
            (f"`{name}`", str(len(theirs)), *("the same" if has else "none" for has in (owners, timers)))
        )
    return table_


def measure(quick: bool, count: int) -> Findings:
    """Check, then time all."""
    missing = {name: absent(peer.needs) for name, peer in PEERS.items() if peer.needs and absent(peer.needs)}
    names = [name for name in PEERS if name not in missing]
    with compiled() as environment, connections(count) as before:
        lists = check(before, environment, count, names)
        rivals = {name: partial(milliseconds, [*before, *PEERS[name].command], environment) for name in names}
        times = taking_turns(rivals, 1 if quick else 11)
    figures = [
        row.without(missing[theirs])
        if theirs in missing
        else row.measured(ratios(times[ours], times[theirs]))
        for row, (ours, theirs) in AGAINST.items()
    ]
    rows = [(f"`{name}`", f"{median(taken):.0f}", f"{min(taken):.0f}") for name, taken in times.items()]
    return Findings(
        figures,
        [
            f"{count} connections.",
            table(("the whole command", "ms", "least"), rows),
            table(("lists", "connections", "owners", "timers"), lists),
            "psutil and pyroute2 print nothing when they are timed, only for this table.",
        ],
    )


def main() -> int:
    """Measure, and say whether the figures are reached."""
    made = parser(__doc__)
    made.add_argument("--connections", type=int, metavar="N", help="25,000, or with --quick 400")
    arguments = made.parse_args()
    count = arguments.connections or (400 if arguments.quick else 25_000)
    return tell(ROWS, lambda: measure(arguments.quick, count), arguments)


if __name__ == "__main__":
    sys.exit(main())
