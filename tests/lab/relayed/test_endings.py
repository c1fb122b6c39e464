"""What becomes of idle flows: each way as both ends see it."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from keptalive.lab import open_lab
from keptalive.lab.silence import count
from lab.relayed.ends import connected, ends, silent, wait_for_event
from lab.scenario import PATIENCE, keep_alive, state


def test_drop_tells_nobody() -> None:
    """Neither end learns anything, whatever it sends."""
    with ends("idle-drop:0.5") as (lab, client, server):
        assert "idle for 0.5" in wait_for_event(lab, "expired")
        client.sendall(b"hello?")
        server.sendall(b"late")
        assert silent(client)
        assert silent(server)
        assert state(client) == state(server) == 1


@pytest.mark.parametrize("who", [0, 1], ids=["client", "server"])
@pytest.mark.parametrize("what", ["data", "probe", "fin"])
def test_reset_on_the_next_packet_tells_its_sender_alone(who: int, what: str) -> None:
    """The sender gets an RST, for a probe too; the other end waits on until it sends something itself."""
    with ends("idle-reset:0.5") as (lab, *pair):
        wait_for_event(lab, "expired")
        sender, other = pair[who], pair[1 - who]
        assert silent(sender, 0.2)
        if what == "data":
            sender.sendall(b"x")
        elif what == "probe":
            keep_alive(sender, 1, 1, 9)
        else:
            sender.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            sender.recv(1)
        reason = f"RST to the {('client', 'server')[who]}, which sent something"
        assert wait_for_event(lab, "reset").endswith(reason)
        assert silent(other)
        other.sendall(b"late")
        with pytest.raises(ConnectionResetError):
            other.recv(1)


def test_a_probe_of_a_forgotten_flow_brings_an_rst_and_nothing_else() -> None:
    """An acknowledgement before it would say that the path still knows the flow."""
    with ends("idle-reset:0.5") as (lab, client, _):
        wait_for_event(lab, "expired")
        before = int.from_bytes(count(client), sys.byteorder)
        keep_alive(client, 1, 1, 9)
        with pytest.raises(ConnectionResetError):
            client.recv(1)

        assert int.from_bytes(count(client), sys.byteorder) == before + 1


def test_what_comes_in_the_dark_is_not_answered() -> None:
    """Neither then nor afterwards; what is sent again after it is."""
    with ends("idle-reset:0.5,outage@1-2.5") as (lab, client, server):
        wait_for_event(lab, "outage")
        keep_alive(server, 1, 60, 9)  # one probe, in the dark
        client.sendall(b"x")
        assert silent(client, 1)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert silent(server, 1)


def test_reset_both_tells_both_at_once() -> None:
    """Each gets an RST though it sent nothing."""
    with ends("idle-reset-both:0.5") as (lab, client, server):
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        assert "idle for 0.5" in wait_for_event(lab, "expired")
        assert wait_for_event(lab, "reset").endswith("RST to both ends")


def test_close_is_a_fin_to_both() -> None:
    """As from a proxy that has lost its patience."""
    with ends("idle-close:0.5") as (lab, client, server):
        assert client.recv(1) == server.recv(1) == b""
        assert "idle for 0.5" in wait_for_event(lab, "expired")
        assert wait_for_event(lab, "closed").endswith("FIN to both ends")


# fault -> whether probes hold: they are packets, but no bytes
HOLDING = [("idle-drop", True), ("idle-reset", True), ("idle-reset-both", True), ("idle-close", False)]


@pytest.mark.parametrize(("fault", "held"), HOLDING)
def test_probes_hold_what_counts_packets(fault: str, held: bool) -> None:
    """For twice the timeout, beside a plain connection, which is lost, and a busy one, which is not."""
    with open_lab(f"{fault}:3", "relay") as lab, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        pairs = {name: connected(lab, listener) for name in ("plain", "probing", "busy")}
        names = {"{}:{}".format(*client.getsockname()): name for name, (client, _) in pairs.items()}
        keep_alive(pairs["probing"][0], 1, 1, 9)
        until = time.monotonic() + 7
        while time.monotonic() < until:
            pairs["busy"][0].sendall(b"x")
            time.sleep(0.2)
        ended = [names[event.detail.partition(" > ")[0]] for event in lab.events if event.kind == "expired"]

        assert sorted(ended) == (["plain"] if held else ["plain", "probing"])
        for name in set(pairs) - set(ended):
            client, server = pairs[name]
            server.sendall(b"late")
            assert client.recv(4) == b"late"
        for pair in pairs.values():
            for end in pair:
                end.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("idle-reset-both:600", "reset"), ("idle-close:600", "closed"), ("blackhole@600", "")],
)
def test_expire_now_ends_flows_as_idleness_would(fault: str, kind: str) -> None:
    """And where nothing is said of idleness, in silence."""
    with ends(fault) as (lab, client, server):
        lab.expire_now()
        assert wait_for_event(lab, "expired").endswith(": expire_now() was called")
        assert [event.kind for event in lab.events] == ["expired", *([kind] if kind else [])]
        if not kind:
            assert silent(client)
            assert silent(server)
        elif kind == "closed":
            assert client.recv(1) == server.recv(1) == b""
        else:
            for end in (client, server):
                with pytest.raises(ConnectionResetError):
                    end.recv(1)
