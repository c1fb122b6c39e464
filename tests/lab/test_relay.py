"""The relay passes on what a firewall would: bytes, FINs, RSTs; and nothing once a flow is forgotten."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from keptalive.lab import Lab, open_lab
from keptalive.lab.faults import parse
from keptalive.lab.relay_handle import RelayHandle
from lab.scenario import PATIENCE, keep_alive, state
from support import missing

SIZE = 30_000_000


@pytest.fixture(scope="module")
def relay() -> Iterator[Lab]:
    """Open one relay for the tests that need no expiry."""
    with open_lab("idle-drop:600", "relay") as lab:
        yield lab


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def pair(relay: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect through the relay: client, server."""
    if request.param == socket.AF_INET6 and relay.host6 is None:
        missing("no IPv6 on loopback")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        host, port = relay.reach(listener.getsockname()[1])
        address = (relay.host6 if request.param == socket.AF_INET6 else host, port)
        with socket.create_connection(address, PATIENCE) as client:
            server, _ = listener.accept()
            server.settimeout(PATIENCE)
            with server:
                yield client, server


def send_all_of_it(sock: socket.socket, data: bytes) -> threading.Thread:
    def send() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def digest(sock: socket.socket) -> bytes:
    seen = hashlib.sha256()
    while data := sock.recv(1 << 16):
        seen.update(data)
    return seen.digest()


def test_many_bytes_pass_unchanged_in_both_directions(pair: tuple[socket.socket, socket.socket]) -> None:
    """Both ends send at once and faster than the other reads; each FIN comes after the last byte."""
    up, down = os.urandom(SIZE), os.urandom(SIZE)
    client, server = pair
    senders = [send_all_of_it(client, up), send_all_of_it(server, down)]
    found: dict[str, bytes] = {}
    readers = [
        threading.Thread(target=lambda: found.update(up=digest(server))),
        threading.Thread(target=lambda: found.update(down=digest(client))),
    ]
    for thread in readers:
        thread.start()
    for thread in senders + readers:
        thread.join()

    assert found == {"up": hashlib.sha256(up).digest(), "down": hashlib.sha256(down).digest()}


def test_a_fin_passes_in_one_direction_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    """The other direction stays open for an answer."""
    client, server = pair
    client.sendall(b"the question")
    client.shutdown(socket.SHUT_WR)
    assert digest(server) == hashlib.sha256(b"the question").digest()
    server.sendall(b"the answer")
    assert client.recv(100) == b"the answer"
    server.close()
    assert client.recv(100) == b""


@pytest.mark.parametrize("dying", [0, 1])
def test_an_rst_passes(pair: tuple[socket.socket, socket.socket], dying: int) -> None:
    """From either end to the other."""
    linger = b"\x01\0\0\0\0\0\0\0"
    pair[dying].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    pair[dying].close()

    with pytest.raises(ConnectionResetError):
        pair[1 - dying].recv(1)


def test_a_server_may_speak_first(pair: tuple[socket.socket, socket.socket]) -> None:
    """As with SMTP or SSH."""
    client, server = pair
    server.sendall(b"220 welcome")

    assert client.recv(100) == b"220 welcome"


def test_a_port_where_nobody_listens_resets(relay: Lab) -> None:
    """The client learns it at once."""
    with socket.socket() as nobody, relay.client_socket() as client:
        nobody.bind(("127.0.0.1", 0))  # so that the port is nobody else's
        client.settimeout(PATIENCE)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.connect(relay.reach(nobody.getsockname()[1]))
            client.recv(1)
            pytest.fail("nobody reset the connection")


def test_what_is_forgotten_is_silent_to_both_ends_and_recorded() -> None:
    """A server's late answer does not arrive, and neither end sees its connection change."""
    with open_lab("idle-drop:0.5", "relay") as lab, socket.create_server(("127.0.0.1", 0)) as listener:
        address = lab.reach(listener.getsockname()[1])
        client = socket.create_connection(address, PATIENCE)
        server, _ = listener.accept()
        deadline = time.monotonic() + PATIENCE
        while not lab.events and time.monotonic() < deadline:
            time.sleep(0.02)
        name = "{}:{} > 127.0.0.1:{}".format(*client.getsockname(), listener.getsockname()[1])

        assert [(event.kind, event.detail.partition(": ")[0]) for event in lab.events] == [("expired", name)]
        server.sendall(b"late")
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.recv(10)
        assert state(client) == state(server) == 1
        client.close()
        server.close()


def test_probes_count_as_segments() -> None:
    """A flow without a byte outlives the idle timeout as long as one end sends probes: client or server."""
    with open_lab("idle-drop:2", "relay") as lab, socket.create_server(("127.0.0.1", 0)) as listener:
        address = lab.reach(listener.getsockname()[1])
        pairs = []
        for prober in (None, 0, 1):
            client = socket.create_connection(address, PATIENCE)
            pair = client, listener.accept()[0]
            if prober is not None:
                keep_alive(pair[prober], 1, 1, 9)
            pairs.append(pair)
        deadline = time.monotonic() + PATIENCE
        while not lab.events and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(2)  # the same silence once more for the others

        assert len(lab.events) == 1
        for client, server in pairs[1:]:
            client.sendall(b"hello")
            server.settimeout(PATIENCE)
            assert server.recv(10) == b"hello"
        for client, server in pairs:
            client.close()
            server.close()


def test_a_servers_addresses_are_tried_in_turn() -> None:
    """The first that takes the connection gets it; none of them, and the client gets an RST."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as gone:
        listener.settimeout(PATIENCE)
        nobody, somebody = (sock.getsockname() for sock in (gone, listener))
        gone.close()
        relay = RelayHandle(parse("gateway-timeout:600"))
        try:
            reached = relay.open(["127.0.0.1"], [nobody, ("fe80::1", 9), somebody])
            refused = relay.open(["127.0.0.1"], [nobody, nobody])
            with socket.create_connection(("127.0.0.1", reached), PATIENCE) as client:
                client.sendall(b"hello")
                server, _ = listener.accept()
                assert server.recv(10) == b"hello"
                server.sendall(b"answer")
                assert client.recv(10) == b"answer"
                server.close()
            with (
                pytest.raises((ConnectionResetError, BrokenPipeError)),
                socket.create_connection(("127.0.0.1", refused), PATIENCE) as client,
            ):
                client.recv(1)
                pytest.fail("nobody reset the connection")
        finally:
            relay.close()
