"""What a server is left with whose clients have gone: not more and more."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from keptalive.lab import Lab, open_lab
from keptalive.lab.relayed.departed import KEPT, End, present
from lab.relayed.ends import connected, silent, wait_for_event
from lab.scenario import PATIENCE

LIVING, MORE = 5, 10
Pairs = list[tuple[socket.socket, socket.socket]]


@contextlib.contextmanager
def forgotten(fault: str, count: int) -> Iterator[tuple[Lab, Pairs]]:
    """Yield a relay that has forgotten so many connections, and these: client, server, the oldest first."""
    with open_lab(fault, "relay") as lab, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        pairs = [connected(lab, listener) for _ in range(count)]
        with contextlib.ExitStack() as ends:
            for client, server in pairs:
                ends.enter_context(client)
                ends.enter_context(server)
                client.sendall(b"x")  # it stands at both of the relay's sockets
                assert server.recv(1) == b"x"
            lab.expire_now()
            yield lab, pairs


@contextlib.contextmanager
def sharing(client: socket.socket, listener: socket.socket) -> Iterator[None]:
    """Keep another connection from a client's port, to *listener*; or let a stranger's do."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with socket.socket() as other, contextlib.ExitStack() as ends:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(client.getsockname())
        except OSError as error:
            assert error.errno == errno.EADDRINUSE  # by a connection that this test knows nothing of
        else:
            other.connect(listener.getsockname())
            ends.enter_context(listener.accept()[0])
        yield


def leave(client: socket.socket) -> None:
    """Go with an RST, which the relay is deaf for."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def told(server: socket.socket) -> bool:
    """Tell whether the server has got an RST."""
    server.setblocking(False)
    try:
        server.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    raise AssertionError("a FIN, or data")


def released(lab: Lab) -> list[str]:
    return [event.detail for event in lab.events if event.kind == "released"]


def test_the_oldest_are_let_go_once_many_clients_have_gone() -> None:
    """Beside those whose clients wait, which are older still, and are told nothing."""
    with forgotten("idle-drop:600", LIVING + MORE + KEPT) as (lab, pairs):
        for client, _ in pairs[LIVING:]:
            leave(client)
        wait_for_event(lab, "released", MORE)
        fate = [told(server) for _, server in pairs]

        assert len(released(lab)) == MORE
        assert fate == [False] * LIVING + [True] * MORE + [False] * KEPT
        assert all(silent(client, 0.01) for client, _ in pairs[:LIVING])


def test_whose_port_is_in_use_for_another_connection_has_gone_too() -> None:
    """Ports are shared by what goes to different places, on a busy machine by many."""
    with (
        forgotten("idle-drop:600", MORE + KEPT) as (lab, pairs),
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
        contextlib.ExitStack() as others,
    ):
        for client, _ in pairs[:MORE]:
            others.enter_context(sharing(client, elsewhere))
        for client, _ in pairs:
            leave(client)
        wait_for_event(lab, "released", MORE)
        assert len(released(lab)) == MORE


CLIENT, RELAY, ELSEWHERE, FAR = ((bytes([10, 0, 0, last]), 1000 + last) for last in range(4))


@pytest.mark.parametrize(
    ("sockets", "here"),
    [
        ([], False),
        ([(CLIENT, RELAY), (RELAY, CLIENT)], True),
        ([(RELAY, CLIENT)], False),
        ([(RELAY, CLIENT), (CLIENT, ELSEWHERE), (ELSEWHERE, CLIENT)], False),
        ([(RELAY, CLIENT), (CLIENT, FAR)], True),  # redirected, or on its way to another machine: who knows
    ],
)
def test_who_is_there(sockets: list[tuple[End, End]], here: bool) -> None:
    """It has a socket, and that is not another's."""
    assert present({CLIENT}, {RELAY}, sockets) == ({CLIENT} if here else set())


def test_a_few_are_kept_as_a_firewall_does() -> None:
    """And any number whose clients are there."""
    with forgotten("idle-drop:600", 2 * KEPT) as (lab, pairs):
        for client, _ in pairs[KEPT:]:
            leave(client)
        assert silent(pairs[0][0], 5)  # two looks
        assert not any(told(server) for _, server in pairs)
        assert released(lab) == []


def test_of_those_that_are_reset_on_their_next_packet_too() -> None:
    """A client that was told so has gone; its server is told when it sends something, which may be never."""
    with forgotten("idle-reset:600", KEPT + 3) as (lab, pairs):
        for client, _ in pairs:
            client.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        wait_for_event(lab, "released", 3)

        assert [told(server) for _, server in pairs] == [True] * 3 + [False] * KEPT
