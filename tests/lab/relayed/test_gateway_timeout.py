"""gateway-timeout: a request that waits too long is answered by the relay; nothing else is touched."""

from __future__ import annotations

import socket
import time

import pytest

from keptalive.lab.faults.gateway_timeout import RESPONSE
from lab.relayed.ends import ends, silent, wait_for_event
from lab.scenario import keep_alive

GET = b"GET /slow HTTP/1.1\r\nHost: lab\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def everything(sock: socket.socket) -> bytes:
    """Read to the FIN."""
    found = b""
    while data := sock.recv(4096):
        found += data
    return found


def test_a_request_without_an_answer_gets_504_and_both_ends_a_fin() -> None:
    """Though the client sends probes: a proxy never sees them."""
    with ends("gateway-timeout:2") as (lab, client, server):
        keep_alive(client, 1, 1, 9)
        started = time.monotonic()
        client.sendall(GET)
        assert server.recv(4096) == GET
        assert everything(client) == RESPONSE
        assert time.monotonic() - started > 1.9
        assert server.recv(1) == b""
        assert "no answer for 2" in wait_for_event(lab, "expired")


def test_an_answer_in_time_and_the_silence_after_it_are_left_alone() -> None:
    """The clock runs from the last whole request to the first byte of an answer."""
    with ends("gateway-timeout:1") as (lab, client, server):
        client.sendall(GET)
        server.recv(4096)
        server.sendall(OK)
        assert client.recv(4096) == OK
        assert silent(client, 1.6)
        client.sendall(GET)  # the second request of the connection gets none
        assert everything(client) == RESPONSE
        assert [event.kind for event in lab.events] == ["expired", "closed"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01" + bytes(100), id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="SSH"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", id="half a body"),
        pytest.param(b"GET / HTTP/1.1\r\nHost:", id="half a head"),
    ],
)
def test_what_is_no_whole_request_gets_no_504(sent: bytes) -> None:
    """It passes as it is; nobody speaks HTTP to who speaks something else."""
    with ends("gateway-timeout:0.5") as (lab, client, server):
        client.sendall(sent)
        assert server.recv(4096) == sent
        assert silent(client, 1.5)
        assert lab.events == []


def test_it_stands_behind_a_firewall_that_forgets() -> None:
    """Whichever comes first."""
    with ends("gateway-timeout:600,idle-drop:0.5") as (lab, client, _):
        client.sendall(GET)
        wait_for_event(lab, "expired")
        assert silent(client)
    with ends("gateway-timeout:0.5,idle-drop:600") as (lab, client, _):
        client.sendall(GET)
        assert everything(client) == RESPONSE
