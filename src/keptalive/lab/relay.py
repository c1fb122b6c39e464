"""The relay engine's process: a relay on loopback that does as its owner says.

Rule: it lives as long as its owner, and what it was given to look after dies with it.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from typing import Any

from keptalive.errors import LabError
from keptalive.lab.control import Handler, Owner
from keptalive.lab.event import LabEvent
from keptalive.lab.faults import parse
from keptalive.lab.relaying import Relay

_MOST_EVENTS = 500  # in one reply: each is some 100 bytes, one packet takes 128 KiB


def main(owner: Owner) -> None:
    """Serve the relay engine."""
    process = RelayProcess()
    try:
        process.serve(owner)
    finally:
        process.close()


class RelayProcess:
    """A relay, and what its owner may ask of it."""

    def __init__(self) -> None:
        self._relay: Relay | None = None
        self._events: list[LabEvent] = []
        self._commands: list[int] = []  # pidfds

    def serve(self, owner: Owner) -> None:
        """Relay, and answer the owner's requests, until the owner goes."""
        handlers: dict[str, Handler] = {
            "start": self.start,
            "open": self.open,
            "expire": self.expire,
            "events": self.tell_events,
            "adopt": self.adopt,
        }
        # The first request makes the relay, or says why there is none.
        while self._relay is None:
            ready, _, _ = select.select([owner.socket.fileno(), owner.death], [], [])
            if owner.death in ready or not owner.answer(handlers):
                return
        going = True

        def asked(_: int) -> None:
            nonlocal going
            going = going and owner.answer(handlers)

        def died(_: int) -> None:
            nonlocal going
            going = False

        self._relay.poller.watch(owner.socket.fileno(), asked)
        self._relay.poller.watch(owner.death, died)
        while going:
            self._relay.poller.turn()

    def start(self, faults: str) -> dict[str, Any]:
        """Do what *faults* say; refuse where this system, or the relay, cannot."""
        self._relay = Relay(parse(faults), self._events.append)
        return {}

    def open(self, hosts: Sequence[str], to: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """Listen at each of *hosts*, on a port of ours, and relay to the first address *to* that takes us."""
        return {"port": self._started.listen(hosts, 0, [tuple(address) for address in to])[0][1]}

    def expire(self) -> dict[str, Any]:
        """End every flow, now."""
        self._started.expire()
        return {}

    def tell_events(self, after: int) -> dict[str, Any]:
        """Return events from number *after* on, as many as a reply takes."""
        return {"events": self._events[after : after + _MOST_EVENTS]}

    def adopt(self, descriptors: Sequence[int]) -> dict[str, Any]:
        """Take a command, by its pidfd, that is to be killed when the lab's owner goes."""
        running = select.poll()
        for command in self._commands:
            running.register(command, select.POLLIN)
        for ended, _ in running.poll(0):
            self._commands.remove(ended)
            os.close(ended)
        self._commands += descriptors
        return {}

    def close(self) -> None:
        """Kill the commands and end the relay."""
        for command in self._commands:
            try:
                signal.pidfd_send_signal(command, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self._relay is not None:
            self._relay.close()

    @property
    def _started(self) -> Relay:
        if self._relay is None:
            raise LabError("the relay has not been started")
        return self._relay
