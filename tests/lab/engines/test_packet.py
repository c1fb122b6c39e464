"""What only the packet engine can show: each packet's fate, and what it does to packets on a real path."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from keptalive.lab import Lab, LabEvent, open_lab
from lab.scenario import PATIENCE, ask, keep_alive
from probing.obstacles import left_at_the_server
from support import missing

pytestmark = pytest.mark.lab

# Sends back what comes, and says from which port; then, on a line, how it ended.
ECHO = """
import socket
with socket.create_server(("", 9000)) as listener:
    print(flush=True)
    while True:
        peer, (_, port) = listener.accept()
        print(port, flush=True)
        try:
            while data := peer.recv(65536):
                peer.sendall(data)
            peer.close()
        except OSError as error:
            print(error.strerror, flush=True)
"""
_IP_MINTTL = 21  # linux/in.h


@pytest.fixture
def opened(kernel_refusal: str | None) -> Callable[[str], Lab]:
    """Open a packet lab, if this machine can."""
    if kernel_refusal:
        missing(kernel_refusal)
    return lambda fault: open_lab(fault, "packet")


@contextmanager
def echo(lab: Lab) -> Iterator[tuple[socket.socket, subprocess.Popen[str]]]:
    """Connect to a server that sends back what comes."""
    with lab.popen_server([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with lab.client_socket() as client:
            client.settimeout(PATIENCE)
            client.connect(lab.reach(9000))
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            yield client, server
        server.kill()


def wait_for(lab: Lab, kind: str, times: int = 1) -> list[LabEvent]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = [event for event in lab.events if event.kind == kind]
        if len(found) >= times:
            return found
        time.sleep(0.02)
    pytest.fail(f"no {kind} within {PATIENCE} s: {lab.events}")


def test_the_trial_leaves_nothing(opened: Callable[[str], Lab]) -> None:
    """Its RST has been seen before the firewall begins, on a busy machine too."""

    def left(_: int) -> tuple[int, list[LabEvent]]:
        with opened("idle-drop:60") as lab:
            return left_at_the_server(lab), lab.events

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(left, range(24))) == [(0, [])] * 24


def test_every_packet_is_on_record(opened: Callable[[str], Lab]) -> None:
    """In order, from the handshake on: nothing from before is in it."""
    with opened("loss:0.000001%") as lab, lab.client_socket() as sock:
        sock.settimeout(PATIENCE)
        keep_alive(sock, 1, 1, 9)
        ask(lab, sock, "/sleep/1.5")
        assert sock.recv(4096)
        wait_for(lab, "answer")
        port = sock.getsockname()[1]
        up, down = f"10.99.1.2:{port} > 10.99.2.2:8080", f"10.99.2.2:8080 > 10.99.1.2:{port}"
        events = lab.events
        rows = [(event.sender, event.kind, event.detail) for event in events]

        assert rows[:3] == [
            ("client", "passed", f"{up}: SYN"),
            ("server", "passed", f"{down}: SYN-ACK"),
            ("client", "passed", f"{up}: ACK"),
        ]
        assert rows.index(("client", "probe", f"{up}: probe")) < rows.index(
            ("server", "answer", f"{down}: answer")
        )
        assert any(re.fullmatch(rf"{re.escape(down)}: \d+ bytes", detail) for _, _, detail in rows)
        times = [event.time for event in events]
        assert times == sorted(times)


def test_a_delay_is_that_long_each_way(opened: Callable[[str], Lab]) -> None:
    """50 ms: an exchange takes 100, and at its shortest not twice as long."""
    with opened("delay:50") as lab, echo(lab) as (client, _):
        shortest = PATIENCE
        for _ in range(10):
            started = time.monotonic()
            client.sendall(b"x")
            client.recv(1)
            took = time.monotonic() - started
            assert took >= 0.1
            shortest = min(shortest, took)
        assert shortest < 0.2


@pytest.mark.parametrize("fault", ["idle-drop:600", "delay:5", "loss:1%"])
def test_bulk_passes_unchanged(opened: Callable[[str], Lab], fault: str) -> None:
    """Packets of 64 KB with unfinished checksums among them, lost ones sent again."""
    data = os.urandom(6_000_000)
    seen = hashlib.sha256()
    with opened(fault) as lab, echo(lab) as (client, _):
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        left = len(data)
        while left and (piece := client.recv(1 << 16)):
            seen.update(piece)
            left -= len(piece)
        sender.join()

    assert seen.digest() == hashlib.sha256(data).digest()


def test_loss_is_as_frequent_as_asked_for(opened: Callable[[str], Lab]) -> None:
    """Of some thousand packets."""
    with opened("loss:10%") as lab, echo(lab) as (client, _):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(60):
            client.sendall(bytes(50_000))
            left = 50_000
            while left:
                left -= len(client.recv(left))
        fates = [event.detail.endswith(": lost") for event in lab.events if event.sender]

    assert len(fates) > 300
    assert 0.04 < sum(fates) / len(fates) < 0.2


def test_a_nat_gives_the_server_another_port(opened: Callable[[str], Lab]) -> None:
    """Its RST comes back translated; the server that speaks first gets one from the NAT."""
    with opened("nat-rebind:1") as lab, echo(lab) as (client, server):
        assert server.stdout is not None
        assert int(server.stdout.readline()) == client.getsockname()[1]
        wait_for(lab, "expired")
        client.sendall(b"again")
        with pytest.raises(ConnectionResetError):
            client.recv(100)
        (rebound,) = wait_for(lab, "rebound")

        assert not rebound.detail.endswith(f" {client.getsockname()[1]}")


def test_the_end_of_the_path_is_one_hop_further_than_the_firewall(opened: Callable[[str], Lab]) -> None:
    """The server's packets have made a hop; the firewall's own RST has not."""
    with opened("idle-reset:1") as lab, echo(lab) as (client, _):
        client.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, 64)
        client.sendall(b"x")
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)  # the server's answer had 63
        wait_for(lab, "expired")
        client.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            client.recv(1)  # it was sent again meanwhile, and that got an RST


def test_both_ends_are_reset_though_neither_says_a_word(opened: Callable[[str], Lab]) -> None:
    """At expiry, of itself."""
    with opened("idle-reset-both:1") as lab, echo(lab) as (client, server):
        assert server.stdout is not None
        server.stdout.readline()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert server.stdout.readline() == "Connection reset by peer\n"
        assert len(wait_for(lab, "reset", 2)) == 2


def test_the_clock_waits_for_the_first_connection(opened: Callable[[str], Lab]) -> None:
    """Not for the lab's opening."""
    with opened("blackhole@0.5") as lab:
        time.sleep(1)
        with echo(lab) as (client, _):
            client.sendall(b"x")
            wait_for(lab, "blackhole")


def test_the_servers_side_cannot_connect_and_a_closed_port_refuses(
    opened: Callable[[str], Lab],
) -> None:
    """The firewall lets connections through in one direction."""
    code = "import socket; socket.create_connection(('10.99.1.2', 9), 1)"
    with opened("idle-drop:5") as lab:
        with lab.popen_server([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as command:
            assert "TimeoutError" in command.communicate(timeout=PATIENCE)[1]
        with lab.client_socket() as sock, pytest.raises(ConnectionRefusedError):
            sock.settimeout(PATIENCE)
            sock.connect(lab.reach(9))


def test_what_mattered_is_told_without_the_rest(opened: Callable[[str], Lab]) -> None:
    """And when the first packet came, which nobody knows before it has."""
    with opened("idle-drop:600") as lab:
        assert (lab.started, lab.what_mattered()) == (None, (0, []))
        with echo(lab) as (client, _):
            lab.expire_now()
            client.sendall(b"x")
            wait_for(lab, "dropped")
            following, events = lab.what_mattered()

            assert [event.kind for event in events][:2] == ["expired", "dropped"]
            assert lab.what_mattered(following)[0] >= following == len(events)
            assert lab.started == lab.events[0].time
