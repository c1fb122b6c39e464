"""The relay's loop: call back what is ready, and what is due.

Rule: one thread, epoll(7), nothing but what relaying needs. It costs less for a byte passed on than
asyncio's transports, and leaves each socket's closing to its owner.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable
from select import EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP

#: Takes the mask of what happened (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR).
Ready = Callable[[int], None]

#: Tell once of all that happens. What is told is to be used up: read until there is no more, written until
#: nothing more is taken. In return the kernel is never told again what we are waiting for.
EDGES = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET


class Poller:
    """Calls a function for each descriptor that is ready, and others when their time has come."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._again: list[tuple[int, int]] = []
        self._closing: list[socket.socket] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []  # a heap; equal times in order of call
        self._numbers = itertools.count()
        self._now = 0.0
        self._busy = False  # the last turn had several to call back

    def watch(self, descriptor: int, ready: Ready, mask: int = EPOLLIN) -> None:
        """Call *ready* whenever *descriptor*, which is not watched, is ready for *mask*, or broken."""
        self._epoll.register(descriptor, mask)
        self._ready[descriptor] = ready

    def replace(self, descriptor: int, ready: Ready) -> None:
        """Call *ready* from now on for a descriptor that is watched."""
        self._ready[descriptor] = ready

    def unwatch(self, descriptor: int) -> None:
        """Stop to watch *descriptor*, if it is watched."""
        if self._ready.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def again(self, descriptor: int, mask: int) -> None:
        """Call back once more for *descriptor* when all others that are ready have had their turn."""
        self._again.append((descriptor, mask))

    def close(self, sock: socket.socket) -> None:
        """Close *sock* once no event of it is under way; it is watched no longer.

        Were it closed at once, a new socket might get its number and its events.
        """
        self._ready.pop(sock.fileno(), None)
        self._closing.append(sock)

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call a function at *when* by time.monotonic(), or soon after."""
        heapq.heappush(self._due, (when, next(self._numbers), call))
        self._now = time.monotonic()

    def turn(self) -> None:
        """Wait until something is ready or due, and call back for it."""
        if self._again or self._busy:
            seconds: float | None = 0  # the kernel sees to no timer, which it would not need
        elif self._due:
            seconds = self._due[0][0] - self._now
            if seconds < 0:
                seconds = 0.0
        else:
            seconds = None
        events = self._epoll.poll(seconds)
        self._busy = len(events) > 1
        if self._again:
            events += self._again
            self._again = []
        ready_for = self._ready.get
        for descriptor, mask in events:
            ready = ready_for(descriptor)
            if ready is not None:
                ready(mask)
        if self._closing:
            self._close()
        if self._due:
            self._now = time.monotonic()  # once a turn: the next begins right away
            if self._due[0][0] <= self._now:
                self._call_due()

    def _call_due(self) -> None:
        while self._due and self._due[0][0] <= self._now:
            heapq.heappop(self._due)[2]()
        self._close()

    def end(self) -> None:
        """Close what waits for it, and the loop itself."""
        self._close()
        self._epoll.close()

    def _close(self) -> None:
        for sock in self._closing:
            sock.close()
        self._closing.clear()
