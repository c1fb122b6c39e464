"""Whatever of keptalive's is killed, and whenever: the program does not notice."""

from __future__ import annotations

import os
import random
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keptalive.linux import processes
from support import clean_environment

PATIENCE = 60.0
PROGRAMS = Path(__file__).parent / "programs"

#: Opens connections without a pause in two threads, and a listener; counts what went well.
BUSY = """
import socket, sys, threading, time
port, seconds = int(sys.argv[1]), float(sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
tried, done = [], []
def work():
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tried.append(1)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            sock.sendall(b"x")
            done.append(sock.recv(1) == b"x")
        time.sleep(0.002)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(tried) > 1 and len(done) == len(tried) and all(done))
"""


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(1))


@pytest.fixture
def port() -> Iterator[int]:
    """Offer a server that echoes one byte of each connection."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def keptalives(token: str, program: int) -> list[int]:
    """Return keptalive's processes for this program: they bear its command line, and are not it."""
    found = []
    for pid in processes.pids():
        try:
            if pid != program and token in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
        except OSError:
            continue
    return found


def run_and_kill(number: int, port: int, prefix: list[str]) -> tuple[int, str, str, int]:
    """Run the busy program, kill what is keptalive's; return how it ended, and how many were killed."""
    delay = random.Random(number).choice((0.0, random.Random(number).uniform(0, 0.5)))
    token = f"busy-{os.getpid()}-{number}"
    command = [*prefix, "run", "--", sys.executable, "-c", BUSY, str(port), "0.7", token]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        deadline = time.monotonic() + PATIENCE
        while not keptalives(token, program.pid) and program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay)
        killed = 0
        for pid in keptalives(token, program.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed += 1
        out, err = program.communicate(timeout=PATIENCE)
        return program.returncode, out, err, killed


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("way", "times"), [("outside", 100), ("inside", 20)])
def test_killing_the_follower_never_breaks_the_program(port: int, way: str, times: int) -> None:
    """A hundred times, at any time from its first moment on, while the program opens connections."""
    prefix = [sys.executable, "-m", "keptalive"]
    if way == "inside":
        prefix = [sys.executable, str(PROGRAMS / "without_getfd.py"), *prefix]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: run_and_kill(number, port, prefix), range(times)))

    assert [(code, out) for code, out, _, _ in found] == [(0, "True\n")] * times
    if way == "outside":
        assert {err for _, _, err, _ in found} == {""}
    assert sum(killed > 0 for *_, killed in found) > 0.9 * times
