"""Who is silent, told once, late by little and never early; and how seldom the kernel is asked."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from keptalive.lab.flows import Flow
from keptalive.lab.polling import Poller
from keptalive.lab.silence import Silence, count, require_counts
from lab.scenario import PATIENCE, keep_alive
from support import tcp_pair

MANY = 60


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.end()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=MANY) as made:
        yield made


def flow(poller: Poller, listener: socket.socket) -> tuple[Flow, list[socket.socket]]:
    """Return a flow, and the ends that must be closed: client, server."""
    with socket.create_server(("127.0.0.1", 0)) as front:
        client = socket.create_connection(front.getsockname())
        accepted, address = front.accept()
    accepted.setblocking(False)
    made = Flow(accepted, address, [listener.getsockname()], poller, when_over=print, when_unreached=print)
    return made, [client, listener.accept()[0]]


def test_each_silent_flow_is_told_once_and_never_early(poller: Poller, listener: socket.socket) -> None:
    """Sixty that came at once; not the one that was given up, not the one that speaks."""
    told: list[tuple[Flow, float]] = []
    silence = Silence(0.6, "packets", poller, lambda flow, seconds: told.append((flow, seconds)))
    flows, ends = zip(*(flow(poller, listener) for _ in range(MANY)), strict=True)
    for each in flows:
        silence.add(each)
    silence.discard(flows[0])

    def speak() -> None:
        ends[1][0].send(b"x")
        poller.at(time.monotonic() + 0.1, speak)

    speak()
    until = time.monotonic() + PATIENCE
    while len(told) < MANY - 2 and time.monotonic() < until:
        poller.turn()
    until = time.monotonic() + 1  # and nobody twice
    while time.monotonic() < until:
        poller.turn()
    for each, pair in zip(flows, ends, strict=True):
        each.reset()
        for sock in pair:
            sock.close()

    assert sorted(map(id, (flow for flow, _ in told))) == sorted(map(id, flows[2:]))
    assert all(seconds >= 0.6 for _, seconds in told)


def test_packets_and_bytes_are_counted_apart() -> None:
    """A probe is a packet without a byte."""
    require_counts()
    with tcp_pair() as (client, server):
        counts = [(count(server, "packets"), count(server, "bytes"))]
        client.send(b"x")
        server.recv(1)
        counts.append((count(server, "packets"), count(server, "bytes")))
        assert counts[0][0] != counts[1][0]
        assert counts[0][1] != counts[1][1]
        keep_alive(client, 1, 1, 9)
        deadline = time.monotonic() + PATIENCE
        while count(server, "packets") == counts[1][0] and time.monotonic() < deadline:
            time.sleep(0.02)

        assert count(server, "packets") != counts[1][0]
        assert count(server, "bytes") == counts[1][1]


class Counted:
    """A socket that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def getsockopt(self, *_: int) -> bytes:
        self.asked += 1
        return bytes(144)


class Idle:
    """A flow that never says anything."""

    def __init__(self) -> None:
        self.client = self.server = self
        self.sock = Counted()


def test_the_kernel_is_asked_seldom(poller: Poller) -> None:
    """A thirtieth of the timeout apart: with 60 s, 10,000 flows are 5,000 looks a second."""
    silence = Silence(20, "packets", poller, lambda *_: None)
    idle = [Idle() for _ in range(100)]
    for each in idle:
        silence.add(each)  # type: ignore[arg-type]
    until = time.monotonic() + 3
    while time.monotonic() < until:
        poller.turn()
    rate = sum(each.sock.asked for each in idle) / len(idle) / 2 / 3

    assert 0.5 < rate <= 2.7  # a second; once in two thirds of one, and the first two
