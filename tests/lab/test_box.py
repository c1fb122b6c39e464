"""The box: a firewall between a client in this process and a server."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
import urllib.request

import pytest

from keptalive.errors import BadInput, LabError
from keptalive.lab import open_box
from lab.scenario import PATIENCE, keep_alive


def get(box: object, target: str, *, held: bool = False, timeout: float = PATIENCE) -> bytes:
    connection = http.client.HTTPConnection(box.host, box.port, timeout=timeout)  # type: ignore[attr-defined]
    connection.connect()
    if held:
        keep_alive(connection.sock, 1, 1, 9)
    connection.request("GET", target)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def test_without_a_server_of_ones_own_it_serves_a_slow_one() -> None:
    """A plain client loses its answer, a held one gets it; the expiry is on record."""
    with open_box("idle-drop:2") as box:
        assert urllib.request.urlopen(f"{box.url}/sleep/0").read() == b"slept 0\n"
        answers: list[bytes] = []
        held = threading.Thread(target=lambda: answers.append(get(box, "/sleep/4", held=True)))
        held.start()
        with pytest.raises(TimeoutError):
            get(box, "/sleep/4", timeout=6)
        held.join()
        assert answers == [b"slept 4\n"]
        assert [event.kind for event in box.events] == ["expired"]


def test_in_front_of_a_server_of_ones_own() -> None:
    """By address or by name, as a pair or as text."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        for to in (("127.0.0.1", port), ("localhost", port), f"127.0.0.1:{port}"):
            with (
                open_box("idle-reset-both:600", to=to) as box,
                socket.create_connection((box.host, box.port), PATIENCE) as client,
            ):
                server, _ = listener.accept()
                assert repr(box) == f"<Box idle-reset-both:600 at 127.0.0.1:{box.port}>"
                client.sendall(b"hello")
                assert server.recv(10) == b"hello"
                box.expire_now()
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
                server.close()


def test_over_ipv6() -> None:
    """Where it listens is a choice."""
    with open_box("idle-drop:60", listen="::1") as box:
        assert box.url == f"http://[::1]:{box.port}"
        assert urllib.request.urlopen(f"{box.url}/sleep/0").read() == b"slept 0\n"


def test_presets_and_speed() -> None:
    """A middlebox by its name, sixty times as fast."""
    started = time.monotonic()
    with open_box("aws-alb", speed=60) as box, pytest.raises(urllib.error.HTTPError, match="504"):
        urllib.request.urlopen(f"{box.url}/sleep/30", timeout=PATIENCE)
    assert time.monotonic() - started > 0.9


def test_what_cannot_be_is_refused_and_leaves_nothing() -> None:
    """Each in a sentence; the engine that can is named."""
    with pytest.raises(LabError, match="loss is for the packet engine, not for the relay engine"):
        open_box("loss:5%")
    with pytest.raises(LabError, match="there is no fault 'fire'"):
        open_box("fire")
    with pytest.raises(BadInput, match="there is no host"):
        open_box(to=("nothing.invalid", 80))
    with pytest.raises(LabError, match="Cannot assign"):
        open_box(listen="192.0.2.1")


def test_many_threads_and_two_boxes_side_by_side() -> None:
    """Requests, events and expiries at once; what happens in one box stays there."""
    with open_box("idle-drop:60") as one, open_box("idle-drop:60") as other:
        answers: list[bytes] = []

        def work() -> None:
            for box in (one, other):
                answers.append(get(box, "/sleep/0.1"))
                assert box.events == other.events == []

        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [b"slept 0.1\n"] * 20
        with socket.create_connection((one.host, one.port), PATIENCE):
            one.expire_now()
            assert [len(box.events) for box in (one, other)] == [1, 0]


def test_in_a_coroutine() -> None:
    """The box is a plain context manager, and the loop goes on."""

    async def main() -> bytes:
        with open_box("idle-drop:60") as box:
            reader, writer = await asyncio.open_connection(box.host, box.port)
            writer.write(b"GET /sleep/0.1 HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(main()).endswith(b"slept 0.1\n")
