"""The lab's relay against haproxy in TCP mode, on this machine: how much it carries, and what idleness costs.

    python benchmarks/relay.py [--quick]

Both stand between the same client and the same server, each a process of its own, and take turns in many
short rounds; what comes through is checked before anything is timed. Told are the medians of the rounds and
of their ratios, relay by haproxy: as the clock has it, and by the relaying process's own CPU time, which
other programs on the machine change less. Connections per second are shown, not judged. Of an idle relay
with as many connections as descriptors allow, up to 10,000, and an idle timeout of 60 s, told is its share
of one core. To reach: 1 x in bulk and in requests/s; 5 % of a core.

haproxy runs a thread for each core, the relay is one process: with other programs on the machine, who has
more threads gets more of it, and the ratio by the clock says little. By CPU time it says what the work costs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date
from pathlib import Path

TARGET, IDLE_TARGET = 1.0, 5.0  # x; % of a core with 10,000 connections
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
defaults
  mode tcp
  timeout client 600s
  timeout server 600s
  timeout connect 10s
  maxconn 4000
listen through
  bind 127.0.0.1:{port}
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
def haproxy(to: int) -> Iterator[tuple[int, int]]:
    """Run haproxy as it comes, in TCP mode."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "haproxy.cfg")
        file.write_text(HAPROXY.format(port=port, to=to))
        with subprocess.Popen(["haproxy", "-f", str(file), "-q", "-db"]) as process:
            try:
                wait_for(port)
                yield process.pid, port
            finally:
                process.kill()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process with its threads and its children, to the nanosecond."""
    seconds = 0.0
    for task in Path(f"/proc/{process}/task").iterdir():
        seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
        seconds += sum(map(cpu_seconds, map(int, (task / "children").read_text().split())))
    return seconds


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


KINDS = {
    "bulk, MB/s": bulk,
    "requests/s, 1 connection": lambda port, seconds: requests(1, port, seconds),
    "requests/s, 50 connections": lambda port, seconds: requests(50, port, seconds),
    "connections/s": connections,
}
JUDGED = [kind for kind in KINDS if not kind.startswith("connections")]


def compare(rounds: int, seconds: float) -> list[str]:
    """Time all, print a table; return what was not reached."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        _, to = stack.enter_context(server())
        rivals = {"relay": stack.enter_context(relay(to)), "haproxy": stack.enter_context(haproxy(to))}
        for _, port in rivals.values():
            check(port)
        for number in range(rounds):
            for kind, measure in KINDS.items():
                for name in sorted(rivals, reverse=bool(number % 2)):
                    process, port = rivals[name]
                    before = cpu_seconds(process)
                    rate = measure(port, seconds)
                    cpu = cpu_seconds(process) - before
                    found.setdefault((kind, name), []).append((rate, rate * seconds / cpu))
    print(f"{rounds} rounds of {seconds:g} s\n{'':<28}{'relay':>9}{'haproxy':>9}{'ratio':>7}{'by CPU':>8}")
    missed = []
    for kind in KINDS:
        ours, theirs = found[kind, "relay"], found[kind, "haproxy"]
        rate, other = (statistics.median(pair[0] for pair in times) for times in (ours, theirs))
        ratio, by_cpu = (
            statistics.median(a[i] / b[i] for a, b in zip(ours, theirs, strict=True)) for i in (0, 1)
        )
        print(f"{kind:<28}{rate:>9.0f}{other:>9.0f}{ratio:>7.2f}{by_cpu:>8.2f}")
        if kind in JUDGED and ratio < TARGET:
            missed.append(kind)
    return missed


def idle(seconds: float) -> bool:
    """Measure an idle relay; tell whether it is cheap enough."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(10_000, (most - SPARE) // 2)
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
        share = statistics.median(shares)
    each = share * 10_000 / count
    print(f"{count} idle connections, T = {IDLE_TIMEOUT} s: {share:.2f} % of a core; of 10,000: {each:.2f} %")
    return each < IDLE_TARGET


def main() -> int:
    """Compare, and measure idleness; 1 if something was not reached."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few short rounds: to see that it works")
    arguments = parser.parse_args()
    if shutil.which("haproxy") is None:
        sys.exit("this compares with haproxy: apt install haproxy")
    print(f"{date.today()}, {platform.platform()}, CPython {platform.python_version()}")
    missed = compare(*((3, 0.3) if arguments.quick else (21, 1.0)))
    if not idle(2.0 if arguments.quick else 12.0):
        missed.append("idle connections")
    print(
        f"to reach: {TARGET:g} x, {IDLE_TARGET:g} %: {'not by ' + '; '.join(missed) if missed else 'reached'}"
    )
    return 1 if missed and not arguments.quick else 0


if __name__ == "__main__":
    sys.exit(main())
