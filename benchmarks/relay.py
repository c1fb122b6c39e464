"""The lab's relay against haproxy in TCP mode, on this machine: how much it carries, and what idleness costs.

    python benchmarks/relay.py [--quick]

Both stand between the same client and the same server, each a process of its own, and take turns in many
short rounds; what comes through is checked before anything is timed. Told are the medians of the rounds and
of their ratios, relay by haproxy: as the clock has it, and by the relaying process's own CPU time, which
other programs on the machine change less. Connections per second are shown, not judged. Of an idle relay
with as many connections as descriptors allow, up to 10,000, and an idle timeout of 60 s, told is its share
of one core.

haproxy runs a thread for each core, the relay is one process: who has more threads gets more of the machine.
So haproxy with one thread stands beside; and by CPU time it shows what the work costs.
"""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from figures import Figure, Findings, parser, table, tell
from peers import absent
from rounds import cpu_seconds, ratios, taking_turns

IDLE_TIMEOUT = 60
SPARE = 100  # descriptors for other things
BULK, ANSWER = b"b", b"a"  # what the client's first byte asks the server for: to swallow, or to echo
MESSAGE = bytes(200)

#: Swallows what comes behind a "b" and tells the hash at the end; echoes what comes behind an "a".
SERVER = """
import hashlib, resource, select, socket
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
print(listener.getsockname()[1], flush=True)
poll, buffer = select.epoll(), memoryview(bytearray(1 << 20))
poll.register(listener, select.EPOLLIN)
peers, bulk = {}, {}
while True:
    for number, _ in poll.poll():
        peer = peers.get(number)
        if peer is None:
            peer, _ = listener.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peers[peer.fileno()] = peer
            poll.register(peer, select.EPOLLIN)
            continue
        try:
            size = peer.recv_into(buffer)
        except OSError:
            size = 0
        if not size:
            if number in bulk:
                swallowed = bulk.pop(number)
                peer.sendall(swallowed.digest() if swallowed else b"end")
            del peers[number]
            peer.close()
        elif number in bulk:
            if bulk[number]:
                bulk[number].update(buffer[:size])
        elif buffer[0] == ord("b"):
            bulk[number] = hashlib.sha256(buffer[1:size]) if buffer[1:2] == b"#" else None
        else:
            peer.sendall(buffer[:size])
"""

HAPROXY = """
{settings}
defaults
  mode tcp
  timeout client 600s
  timeout server 600s
  timeout connect 10s
  maxconn 4000
listen through
  bind fd@{listener}
  server only 127.0.0.1:{to}
"""


@contextmanager
def running(*command: object) -> Iterator[tuple[int, int]]:
    """Run a program that prints a port, or an address; yield its process id and the port."""
    argv = [sys.executable, *map(str, command)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.terminate()
            process.wait()


def server() -> AbstractContextManager[tuple[int, int]]:
    """Run the server."""
    return running("-c", SERVER)


def relay(to: int) -> AbstractContextManager[tuple[int, int]]:
    """Run the relay as its user would."""
    words = f"-m keptalive lab relay --fault idle-drop:{IDLE_TIMEOUT} --to 127.0.0.1:{to}"
    return running(*words.split())


@contextmanager
def haproxy(to: int, settings: str = "") -> Iterator[tuple[int, int]]:
    """Run haproxy in TCP mode; without *settings* as it comes."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=4096) as listener,
        tempfile.TemporaryDirectory() as name,
    ):
        file, number = Path(name, "haproxy.cfg"), listener.fileno()
        file.write_text(HAPROXY.format(settings=settings, listener=number, to=to))
        command = ["haproxy", "-f", str(file), "-q", "-db"]
        subprocess.run([*command, "-c"], pass_fds=[number], check=True)  # the listener would accept for it
        with subprocess.Popen(command, pass_fds=[number]) as process:
            try:
                yield process.pid, listener.getsockname()[1]
            finally:
                process.kill()


def connect(port: int) -> socket.socket:
    """Connect as clients do."""
    sock = socket.create_connection(("127.0.0.1", port), 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def check(port: int) -> None:
    """Ten million random bytes must arrive unchanged, an echo come back, a FIN pass in one direction."""
    with connect(port) as sock:
        data = b"#" + os.urandom(10_000_000)
        sock.sendall(BULK + data)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == hashlib.sha256(data).digest()
    with connect(port) as sock:
        sock.sendall(ANSWER + b"hello")
        assert sock.recv(100) == ANSWER + b"hello"


def bulk(port: int, seconds: float) -> float:
    """Return megabytes per second, to the last byte's arrival, over one connection."""
    data, sent = memoryview(bytes(1 << 20)), 0
    with connect(port) as sock:
        sock.sendall(BULK + b" ")
        time.sleep(0.05)  # the server reads this by itself
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            sent += sock.send(data)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b"end"
        return sent / (time.perf_counter() - started) / 1e6


def requests(connections: int, port: int, seconds: float) -> float:
    """Return requests and answers per second, one at a time on each connection."""
    import select

    message = ANSWER + MESSAGE
    poll, buffer, answered = select.epoll(), bytearray(4096), 0
    with ExitStack() as stack:
        socks = {}
        for _ in range(connections):
            sock = stack.enter_context(connect(port))
            poll.register(sock, select.EPOLLIN)
            socks[sock.fileno()] = sock
            sock.send(message)
        started = time.perf_counter()
        while (taken := time.perf_counter() - started) < seconds:
            for number, _ in poll.poll():
                sock = socks[number]
                assert sock.recv_into(buffer) == len(message)
                sock.send(message)
                answered += 1
    poll.close()
    return answered / taken


def connections(port: int, seconds: float) -> float:
    """Return connections per second, each with one request."""
    done, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds:
        with connect(port) as sock:
            sock.send(ANSWER)
            assert sock.recv(10) == ANSWER
        done += 1
    return done / taken


KINDS: dict[str, Callable[[int, float], float]] = {
    "bulk, MB/s": bulk,
    "requests/s, 1 connection": partial(requests, 1),
    "requests/s, 50 connections": partial(requests, 50),
    "connections/s": connections,
}
JUDGED = {
    kind: Figure(
        f"`lab relay`, {kind}", "haproxy in TCP mode", None if kind == "connections/s" else 1.0, at_least=True
    )
    for kind in KINDS
}
ALIKE = {kind: Figure(f"`lab relay`, {kind}", "haproxy with one thread") for kind in KINDS}
IDLE = Figure("`lab relay`, 10,000 idle connections", "nothing", 5.0, "% of a core")
ROWS = (*JUDGED.values(), *ALIKE.values(), IDLE)


def compare(rounds: int, seconds: float) -> Findings:
    """See that what both carry arrives unchanged, then time them."""
    if missing := absent("haproxy"):
        return Findings([row.without(missing) for row in (*JUDGED.values(), *ALIKE.values())], [])
    judged, alike, rows = [], [], []
    with ExitStack() as stack:
        _, to = stack.enter_context(server())
        ways = {"relay": relay(to), "haproxy": haproxy(to), "one thread": haproxy(to, "global\n  nbthread 1")}
        rivals = {name: stack.enter_context(way) for name, way in ways.items()}
        for _, port in rivals.values():
            check(port)

        def rate(kind: str, name: str) -> tuple[float, float]:
            """Return what is carried in a second, and in a second of CPU time."""
            process, port = rivals[name]
            before = cpu_seconds(process)
            carried = KINDS[kind](port, seconds)
            return carried, carried * seconds / (cpu_seconds(process) - before)

        for kind, figure in JUDGED.items():
            found = taking_turns({name: partial(rate, kind, name) for name in rivals}, rounds)
            ours = found["relay"]
            by_clock, by_cpu, single, single_by_cpu = (
                ratios([pair[i] for pair in ours], [pair[i] for pair in found[name]])
                for name in ("haproxy", "one thread")
                for i in (0, 1)
            )
            judged.append(figure.measured(by_clock))
            alike.append(ALIKE[kind].measured(single))
            rates = (f"{median(pair[0] for pair in pairs):.0f}" for pairs in found.values())
            columns = (f"{median(ratio):.2f}" for ratio in (by_clock, by_cpu, single, single_by_cpu))
            rows.append((kind, *rates, *columns))
    head = ("", *rivals, "to haproxy", "by CPU time", "to one thread", "by CPU time")
    return Findings(judged + alike, [f"{rounds} rounds of {seconds:g} s.", table(head, rows)])


def idle(most_connections: int, seconds: float) -> Findings:
    """Measure an idle relay's share of a core."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(most_connections, (most - SPARE) // 2)
    with ExitStack() as stack:
        _, to = stack.enter_context(server())
        process, port = stack.enter_context(relay(to))
        for _ in range(count):
            stack.enter_context(connect(port))
        time.sleep(1)
        shares = []
        for _ in range(3):
            before, started = cpu_seconds(process), time.perf_counter()
            time.sleep(seconds)
            shares.append(100 * (cpu_seconds(process) - before) / (time.perf_counter() - started))
    figure = IDLE.measured(share * 10_000 / count for share in shares)
    scaled = "" if count == 10_000 else f"; the figure is {10_000 / count:g} times this, fixed costs and all"
    told = f"Idle: {count} connections, T = {IDLE_TIMEOUT} s, {median(shares):.2f} % of a core{scaled}."
    return Findings([figure], [told])


def measure(quick: bool) -> Findings:
    """Compare, and measure idleness."""
    busy = compare(*((1, 0.2) if quick else (21, 1.0)))
    resting = idle(*((200, 1.0) if quick else (10_000, 12.0)))
    return Findings(busy.figures + resting.figures, busy.details + resting.details)


def main() -> int:
    """Measure, and say whether the figures are reached."""
    arguments = parser(__doc__).parse_args()
    return tell(ROWS, lambda: measure(arguments.quick), arguments)


if __name__ == "__main__":
    sys.exit(main())
