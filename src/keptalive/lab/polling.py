"""The relay's loop: call back what is ready.

Rule: one thread, level-triggered epoll(7), nothing but what relaying needs. It costs less for a byte
passed on than asyncio's transports, and leaves each socket's closing to its owner.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

#: Takes the mask of what happened (EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR).
Ready = Callable[[int], None]


class Poller:
    """Calls a function for each descriptor that is ready for what it is watched for."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._closing: list[socket.socket] = []

    def watch(self, descriptor: int, mask: int, ready: Ready) -> None:
        """Call *ready* whenever *descriptor* is ready for *mask*, or broken; with mask 0, never again."""
        if not mask:
            if self._ready.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)
        elif descriptor in self._ready:
            self._epoll.modify(descriptor, mask)
            self._ready[descriptor] = ready
        else:
            self._epoll.register(descriptor, mask)
            self._ready[descriptor] = ready

    def close(self, sock: socket.socket) -> None:
        """Close *sock*, which is no longer watched, once no event of it is under way.

        Were it closed at once, a new socket might get its number and its events.
        """
        self._closing.append(sock)

    def wait(self, seconds: float | None) -> None:
        """Wait for events at most that long, None: until there is one; call back for each."""
        for descriptor, mask in self._epoll.poll(seconds):
            ready = self._ready.get(descriptor)
            if ready is not None:
                ready(mask)
        for sock in self._closing:
            sock.close()
        self._closing.clear()
