"""Times at which nothing passes: before, during, after."""

from __future__ import annotations

import socket
import time

import pytest

from keptalive.lab import open_lab
from lab.relayed.ends import connected, ends, silent, wait_for_event
from lab.scenario import PATIENCE, keep_alive, state


def test_a_blackhole_swallows_everything_and_nobody_is_told() -> None:
    """What passed before it; then no byte, no probe's answer, no new connection."""
    with open_lab("blackhole@1.5", "relay") as lab, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        plain, held = connected(lab, listener), connected(lab, listener)
        keep_alive(held[0], 1, 1, 2)
        plain[0].sendall(b"before")
        assert plain[1].recv(10) == b"before"
        assert wait_for_event(lab, "blackhole") == "blackhole begins"
        plain[0].sendall(b"after")
        plain[1].sendall(b"after")
        assert silent(plain[0])
        assert silent(plain[1])
        assert state(plain[0]) == 1
        with pytest.raises(TimeoutError):
            held[0].recv(1)  # ETIMEDOUT: probes without an answer
        assert state(held[0]) == 7
        with socket.socket() as new:
            new.settimeout(0.5)
            with pytest.raises(TimeoutError):
                new.connect(lab.reach(listener.getsockname()[1]))
        assert [event.kind for event in lab.events] == ["blackhole"]
        for end in (*plain, *held):
            end.close()


def test_an_outage_ends_and_what_was_sent_meanwhile_arrives() -> None:
    """TCP sends again what got lost, in both directions; who tried to connect meanwhile gets through."""
    with open_lab("outage@0.5-1.5", "relay") as lab, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        client, server = connected(lab, listener)
        address = lab.reach(listener.getsockname()[1])
        wait_for_event(lab, "outage")
        client.sendall(b"up")
        server.sendall(b"down")
        started = time.monotonic()
        with socket.create_connection(address, PATIENCE) as new:
            assert time.monotonic() - started > 0.3
            newer, _ = listener.accept()
            new.sendall(b"through")
            assert newer.recv(10) == b"through"
            newer.close()
        assert server.recv(10) == b"up"
        assert client.recv(10) == b"down"
        assert [event.detail for event in lab.events] == ["outage begins", "outage ends"]
        client.close()
        server.close()


def test_a_flow_that_expires_in_the_dark_is_forgotten_in_silence() -> None:
    """The FIN that a proxy sends then gets lost; the flow is silent after the outage too."""
    with ends("outage@0.3-2.5,idle-close:1") as (lab, client, server):
        wait_for_event(lab, "expired")
        assert wait_for_event(lab, "outage", 2) == "outage ends"
        assert silent(client)
        client.sendall(b"anybody?")
        assert silent(server)
        assert state(client) == 1


def test_two_outages_that_touch_are_one() -> None:
    """Each is told, and the light is off from the first's begin to the second's end."""
    with ends("outage@0.3-1.2,outage@0.8-1.6") as (lab, client, server):
        wait_for_event(lab, "outage", 3)
        server.sendall(b"x")
        assert client.recv(1) == b"x"
        wait_for_event(lab, "outage", 4)
        details = [event.detail.partition(" ")[2] for event in lab.events]
        assert details == ["begins", "begins", "ends", "ends"]
        begins, _, _, ends_at = (event.time for event in lab.events)
        assert ends_at - begins > 1.2
