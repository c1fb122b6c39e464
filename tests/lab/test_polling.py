"""The relay's loop: who is called back, when, and who is not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from keptalive.lab.polling import EDGES, Poller


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.end()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for sock in pair:
            sock.close()


def test_what_is_due_is_called_in_order_and_never_early(poller: Poller) -> None:
    """Whatever the order in which it was asked for; equal times in that order."""
    called: list[tuple[str, float]] = []
    start = time.monotonic()
    for name, after in (("c", 0.2), ("a", 0.05), ("b", 0.1), ("b2", 0.1)):
        poller.at(start + after, lambda name=name: called.append((name, time.monotonic() - start)))  # type: ignore[misc]
    while len(called) < 4:
        poller.turn()

    assert [name for name, _ in called] == ["a", "b", "b2", "c"]
    assert all(when >= due for (_, when), due in zip(called, (0.05, 0.1, 0.1, 0.2), strict=True))


def test_an_edge_is_told_once(poller: Poller, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Who does not read is not told again, until more comes."""
    called: list[int] = []
    poller.watch(pairs[0][0].fileno(), called.append, EDGES)
    poller.turn()  # it can be written to
    for number in (2, 3):
        pairs[0][1].send(b"x")
        poller.turn()
        poller.at(0, lambda: None)
        poller.turn()
        assert len(called) == number


def test_who_is_watched_no_longer_is_not_called(
    poller: Poller, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    """Not even if the event was under way, and not if its number is another's by then."""
    called: list[socket.socket] = []

    def close_the_others(mine: socket.socket) -> None:
        called.append(mine)
        for sock, _ in pairs:
            if sock is not mine:
                poller.close(sock)

    for sock, peer in pairs:
        poller.watch(sock.fileno(), lambda _, sock=sock: close_the_others(sock))  # type: ignore[misc]
        peer.send(b"x")
    poller.turn()

    assert len(called) == 1
    assert [sock.fileno() == -1 for sock, _ in pairs].count(True) == 2


def test_again_is_after_the_others(poller: Poller, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Who wants one more turn gets it when all that is ready had theirs."""
    called: list[str] = []
    (first, first_peer), (second, second_peer), _ = pairs

    def greedy(_: int) -> None:
        called.append("greedy")
        if len(called) == 1:
            poller.again(first.fileno(), 0)
            second_peer.send(b"x")

    poller.watch(first.fileno(), greedy, EDGES)
    first_peer.send(b"x")
    poller.turn()
    poller.watch(second.fileno(), lambda _: called.append("other"))
    poller.turn()

    assert called == ["greedy", "other", "greedy"]


def test_a_socket_that_was_closed_in_a_timer_is_closed(poller: Poller) -> None:
    """At once: the next turn may be far away."""
    one, other = socket.socketpair()
    poller.at(0, lambda: poller.close(one))
    poller.turn()

    assert other.recv(1) == b""
    other.close()
