"""A process in a network namespace of its own that holds connections in every state there is.

Run as a script it makes them, says "ready", and holds them until its input ends. `Holder`
starts it. Nothing is left behind: the namespace ends with the process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import require

IPPROTO_MPTCP = 262
_FIN_WAIT_2 = 5  # include/net/tcp_states.h
KINDS = (
    "protected", "late", "off", "close-wait", "fin-wait-2", "unanswered", "zero-window", "syn-sent",
    "fin-wait-1", "last-ack", "mapped", "ipv6", "mptcp", "unaccepted", "time-wait",
)  # fmt: skip


class Holder:
    """The process, and where it is."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def run(self, *command: str) -> str:
        """Run a command in the holder's namespace and return its output."""
        inside = ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True, timeout=60).stdout


@contextlib.contextmanager
def holding(each: int, *kinds: str) -> Iterator[Holder]:
    """Hold *each* connections of each of these kinds (all without any)."""
    require(os.geteuid() == 0, "a network namespace needs root")
    process = subprocess.Popen(
        ["unshare", "--net", sys.executable, __file__, str(each), *(kinds or KINDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        if process.stdout.readline() != "ready\n":
            pytest.fail("the holder could not make its connections")
        yield Holder(process)
        process.stdin.close()


def keepalive(sock: socket.socket, idle: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def end_writing(sock: socket.socket) -> None:
    """Send a FIN and see it acknowledged, which may take 40 ms: soon there will be no way for that."""
    sock.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + 30
    while sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _FIN_WAIT_2:
        assert time.monotonic() < deadline, "a FIN was not acknowledged"
        time.sleep(0.001)


class _World:
    """All the connections. What a kind must do once there is no way any more is kept for the end."""

    def __init__(self) -> None:
        self.open: list[socket.socket] = []
        self.later: list[Callable[[], object]] = []
        self.listeners: dict[tuple[int, int], socket.socket] = {}

    def pair(
        self, family: int = socket.AF_INET, protocol: int = 0, host: str = "127.0.0.1"
    ) -> tuple[socket.socket, socket.socket]:
        listener = self.listeners.get((family, protocol))
        if listener is None:
            listener = socket.socket(family, socket.SOCK_STREAM, protocol)
            listener.bind(("::" if family == socket.AF_INET6 else "", 0))
            listener.listen(64)
            self.listeners[family, protocol] = listener
        client = socket.socket(family, socket.SOCK_STREAM, protocol)
        client.connect((host, listener.getsockname()[1]))
        server, _ = listener.accept()
        self.open += [client, server]
        return client, server

    def make(self, kind: str) -> None:
        if kind == "syn-sent":
            self._syn_sent()
            return
        if kind == "unaccepted":
            self._unaccepted()
            return
        family = socket.AF_INET6 if kind in ("mapped", "ipv6") else socket.AF_INET
        host = {"mapped": "::ffff:127.0.0.1", "ipv6": "::1"}.get(kind, "127.0.0.1")
        client, server = self.pair(family, IPPROTO_MPTCP if kind == "mptcp" else 0, host)
        if kind in ("protected", "mapped", "mptcp"):
            keepalive(client, 60)
        elif kind == "late":
            keepalive(client, 7200)
        elif kind == "close-wait":
            keepalive(server, 90)
            end_writing(client)
        elif kind == "fin-wait-2":
            keepalive(client, 120)
            end_writing(client)
        elif kind == "unanswered":
            keepalive(client, 60)
            self.later.append(lambda: client.send(b"x"))
        elif kind == "zero-window":
            keepalive(client, 60)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(bytes(65536))
        elif kind == "fin-wait-1":
            self.later.append(client.close)
        elif kind == "last-ack":
            client.shutdown(socket.SHUT_WR)
            self.later.append(server.close)
        elif kind == "time-wait":
            client.shutdown(socket.SHUT_WR)
            server.close()

    def _syn_sent(self) -> None:
        """A listener whose queue is full answers no SYN."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.open.append(listener)
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            keepalive(client, 60)
            client.connect_ex(listener.getsockname())
            self.open.append(client)

    def _unaccepted(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.open += [listener, socket.create_connection(listener.getsockname())]


def _main(each: int, kinds: list[str]) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    world = _World()
    mptcp = Path("/proc/sys/net/mptcp/enabled").exists()
    for kind in kinds:
        for _ in range(each if mptcp or kind != "mptcp" else 0):
            world.make(kind)
    if world.later:
        # From here on nothing arrives any more.
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
        for act in world.later:
            act()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
