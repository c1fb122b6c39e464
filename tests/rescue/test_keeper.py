"""What keeps sockets protected: when it looks at which."""

from __future__ import annotations

import os
import socket

import pytest

from keptalive.linux.pidfd import OtherProcess
from keptalive.policy import Policy
from keptalive.rescue import keeper
from keptalive.rescue.keeper import Keeper
from keptalive.sockets import read_socket
from support import tcp_pair


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Have the keeper look at a clock that is set by hand."""
    by_hand = Clock()
    monkeypatch.setattr(keeper, "time", by_hand)
    return by_hand


def looked_at(its: Keeper, sock: socket.socket) -> list[bool]:
    """Let *its* look at this very process; return `again` of each look at *sock*."""
    inode = os.fstat(sock.fileno()).st_ino
    with OtherProcess(os.getpid()) as myself:
        return [look.again for look in its.look([myself]) if look.inode == inode]


def test_a_socket_is_looked_at_three_times(clock: Clock) -> None:
    """When it is new, and when it is one and five seconds old; then never again."""
    its = Keeper(Policy(20, 10, 5))
    with tcp_pair() as (client, _):
        found = {}
        for age in (0.0, 0.5, 1.0, 1.5, 4.9, 5.0, 60.0):
            clock.now = 100 + age
            found[age] = looked_at(its, client)

    assert found == {0.0: [False], 0.5: [], 1.0: [True], 1.5: [], 4.9: [], 5.0: [True], 60.0: []}


def test_what_a_program_sets_while_the_socket_is_young_is_judged_anew(clock: Clock) -> None:
    """Go and node set their own after they have connected; what is set later stays."""
    its = Keeper(Policy(20, 10, 5))
    with tcp_pair() as (client, _):
        looked_at(its, client)
        for age, expected in ((1.0, 20), (30.0, 20), (31.0, 7000)):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7000)
            clock.now = 100 + age
            looked_at(its, client)
            assert read_socket(client).idle == expected


def test_what_is_as_it_should_be_is_looked_at_once(clock: Clock) -> None:
    """Accepted connections above all, which have it from their listener: there may be thousands a second."""
    its = Keeper(Policy(20, 10, 5))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        looked_at(its, listener)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            found = []
            for age in (0.0, 1.0, 5.0):
                clock.now = 100 + age
                found.append(looked_at(its, accepted))

            assert found == [[False], [], []]
            assert read_socket(accepted).idle == 20


def test_a_connection_is_young_until_it_is_up(clock: Clock) -> None:
    """A connect may take as long as it wants; the program sets its own options only after that."""
    its = Keeper(None)
    with socket.socket() as client, socket.create_server(("127.0.0.1", 0)) as listener:
        for age in (0.0, 1.0, 60.0, 61.0):
            clock.now = 100 + age
            assert looked_at(its, client) == [age > 0]
        client.connect(listener.getsockname())
        for age in (62.0, 63.0, 70.0):
            clock.now = 100 + age
            looked_at(its, client)
        clock.now = 200

        assert looked_at(its, client) == []
        assert read_socket(client).idle == Policy().idle


def test_numbers_of_closed_sockets_are_forgotten(clock: Clock) -> None:
    """Nothing is kept of what is gone."""
    its = Keeper(None)
    with tcp_pair() as (client, _):
        inode = os.fstat(client.fileno()).st_ino
        looked_at(its, client)
        assert inode in its._looks
    with tcp_pair() as (other, _):
        looked_at(its, other)

        assert inode not in its._looks


def test_other_sockets_are_left_alone(clock: Clock) -> None:
    """Unix sockets and UDP have no keepalive."""
    its = Keeper(None)
    left, right = socket.socketpair()
    with left, right, socket.socket(type=socket.SOCK_DGRAM) as udp:
        assert [looked_at(its, sock) for sock in (left, right, udp)] == [[], [], []]
        assert left.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
