"""The world that the how-to pages tell of, on a lab's client side: names, programs, known process numbers.

Runs as the first process of mount and process namespaces of its own: `stage.py ADDRESS`, JSON on stdin and
stdout. `stage.py serve` is what runs on the server's side of the lab, which has that address.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORTS = (22, 80, 443, 5432, 8000)
NAMES = "db.example host.example server.example api.example"

# What the pages call java, make or gunicorn: a connection, or a listener, that waits until it has keepalive.
_PROTECTED = """\
import socket, sys, time
sock = socket.create_connection(("host.example", 80)) if {client} else socket.create_server(("0.0.0.0", 0))
deadline = time.monotonic() + 30
while not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
    if time.monotonic() > deadline:
        sys.exit("never protected")
    time.sleep(0.05)
"""


def serve() -> None:
    """Answer whatever is asked, at every port that the pages name; who says nothing is left in peace."""
    servers = [_Server(("0.0.0.0", port), _Answer) for port in PORTS]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    servers[0].serve_forever()


class _Server(ThreadingHTTPServer):
    """Says nothing of connections that are reset: the probe does that to all of its own."""

    def handle_error(self, *_: object) -> None:
        """Leave it at that."""


class _Answer(BaseHTTPRequestHandler):
    """/wait holds its answer back, all else is answered after a second."""

    def do_GET(self) -> None:
        time.sleep(600 if self.path == "/wait" else 1)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


def play(address: str) -> None:
    """Set the stage, run the commands, print for each what it printed and returned."""
    play = json.load(sys.stdin)
    here = Path.cwd()
    hosts = here / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{address} {NAMES}\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    programs = here / "bin"
    programs.mkdir()
    for name in play["clients"]:
        _program(programs / name, sys.executable, _PROTECTED.format(client=True))
    for name in play["servers"]:
        _program(programs / name, sys.executable, _PROTECTED.format(client=False))
    (here / "deploy.sh").write_text("#!/bin/sh\nexec wget -q -O /dev/null http://host.example/\n")
    (here / "deploy.sh").chmod(0o755)
    for name, text in play["files"].items():
        (here / name).write_text(text)
    os.environ["PATH"] = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    waiting = [_waiting(*one) for one in play["waiting"]]
    for line in play["commands"]:
        done = subprocess.run(
            ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=100
        )
        print(json.dumps([done.stdout.decode(), done.returncode]), flush=True)
    for process in waiting:
        process.kill()
        process.wait()


def _program(path: Path, python: str, code: str) -> None:
    path.write_text(f"#!{python}\n{code}")
    path.chmod(0o755)


def _waiting(number: int, argv: list[str]) -> subprocess.Popen[bytes]:
    """Start a program that waits for an answer, with the process number that the page shows."""
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.pid == number, f"{argv[0]} is {process.pid}"
    deadline = time.monotonic() + 30
    while not _established(number):
        assert time.monotonic() < deadline, f"{argv[0]} never connected"
        time.sleep(0.02)
    return process


def _established(pid: int) -> bool:
    """Tell whether that process has sent its request: the connection is there, and nothing unacknowledged."""
    shown = subprocess.run(
        ["ss", "-Htnp", "state", "established"], capture_output=True, text=True, check=True
    )
    return any(f"pid={pid}," in line and line.split()[1] == "0" for line in shown.stdout.splitlines())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        play(sys.argv[1])
