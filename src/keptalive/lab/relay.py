"""The relay engine's process: a firewall that forgets, made of two sockets for each connection.

Rule: it counts segments, not bytes, so a keepalive probe keeps a flow alive here as it does in a real
firewall; and what it forgets it leaves open and deaf, since closing would tell the ends.

What it cannot do: TCP ends at the relay, so the server never sees a client's probe, and what the kernel
had already queued towards a client still arrives after the flow was forgotten by `expire`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from keptalive.errors import LabError
from keptalive.lab.control import Owner
from keptalive.lab.faults import parse
from keptalive.lab.faults.idle_drop import IdleDrop
from keptalive.lab.flows import Flow, count_segments, deafen
from keptalive.lab.listeners import listen
from keptalive.lab.polling import Poller

_SLICES = 50  # a tick is this part of the idle timeout: a flow is forgotten at most 4 % late
_SHORTEST_TICK, _LONGEST_TICK = 0.02, 0.25  # s: what an idle CPU does not notice; what a test still does not
_MOST_EVENTS = 500  # in one reply: each is some 100 bytes, one packet takes 128 KiB


def main(owner: Owner) -> None:
    """Serve the relay engine."""
    relay = Relay()
    handlers = {
        "start": relay.start,
        "open": relay.open,
        "expire": relay.expire,
        "events": relay.tell_events,
        "adopt": relay.adopt,
    }
    try:
        relay.run(owner, handlers)
    finally:
        relay.close()


class Relay:
    """All flows of one lab."""

    def __init__(self) -> None:
        self._poller = Poller()
        self._listeners: list[tuple[socket.socket, tuple[str, int]]] = []  # and where they lead to
        self._flows: dict[Flow, tuple[tuple[int, int], float]] = {}  # segments seen, and since when
        self._forgotten: list[Flow] = []
        self._idle_timeout = 0.0
        self._tick = _LONGEST_TICK
        self._events: list[tuple[float, str, str]] = []
        self._commands: list[int] = []  # pidfds

    def run(self, owner: Owner, handlers: dict[str, Any]) -> None:
        """Relay, and answer the owner's requests, until the owner goes."""
        going = True

        def asked(_: int) -> None:
            nonlocal going
            going = going and owner.answer(handlers)

        def died(_: int) -> None:
            nonlocal going
            going = False

        self._poller.watch(owner.socket.fileno(), select.EPOLLIN, asked)
        self._poller.watch(owner.death, select.EPOLLIN, died)
        next_tick = time.monotonic()
        while going:
            # Without a flow there is nothing to look at: sleep until somebody connects, or asks.
            self._poller.wait(max(0.0, next_tick - time.monotonic()) if self._flows else None)
            now = time.monotonic()
            if now >= next_tick:
                self._forget_idle(now)
                next_tick = now + self._tick

    def start(self, faults: str) -> dict[str, Any]:
        """Do what *faults* say; refuse where this system cannot."""
        idle_drop = parse(faults).get(IdleDrop)
        if idle_drop is None:
            raise LabError(f"the relay cannot do {faults} yet")
        with socket.socket() as trial:
            try:
                deafen(trial)
                count_segments(trial)
            except (OSError, struct.error) as error:
                raise LabError(f"sockets cannot be made deaf, or not watched, here ({error})") from error
        self._idle_timeout = idle_drop.seconds
        self._tick = min(max(idle_drop.seconds / _SLICES, _SHORTEST_TICK), _LONGEST_TICK)
        return {}

    def open(self, hosts: Sequence[str], to: tuple[str, int]) -> dict[str, Any]:
        """Listen at each of *hosts*, on a port of ours, and relay to the host and port *to*."""
        host, port = to
        listeners = listen(hosts)
        for listener in listeners:
            listener.setblocking(False)
            self._listeners.append((listener, (host, port)))
            accept = partial(self._accept, listener, (host, port))
            self._poller.watch(listener.fileno(), select.EPOLLIN, accept)
        return {"port": listeners[0].getsockname()[1]}

    def expire(self) -> dict[str, Any]:
        """Forget every flow, now: those too that the kernel has accepted and we have not."""
        for listener, upstream in self._listeners:
            self._accept(listener, upstream)
        for flow in list(self._flows):
            self._forget(flow, "told to")
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
        """Kill the commands and reset every connection, so that neither end goes on alone."""
        for command in self._commands:
            try:
                signal.pidfd_send_signal(command, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for flow in [*self._flows, *self._forgotten]:
            flow.reset()
        self._poller.wait(0)

    def _accept(self, listener: socket.socket, upstream: tuple[str, int], _: int = 0) -> None:
        """Accept whoever waits."""
        while True:
            try:
                client, address = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            flow = Flow(client, upstream, self._poller, self._over)
            flow.name = f"{_written(address)} > {_written(upstream)}"
            self._flows[flow] = (0, 0), time.monotonic()

    def _over(self, flow: Flow) -> None:
        self._flows.pop(flow, None)

    def _forget_idle(self, now: float) -> None:
        for flow, (seen, since) in list(self._flows.items()):
            segments = flow.segments()
            if segments != seen:
                self._flows[flow] = segments, now
            elif now - since >= self._idle_timeout:
                self._forget(flow, f"idle for {now - since:.2f} s")

    def _forget(self, flow: Flow, reason: str) -> None:
        del self._flows[flow]
        self._forgotten.append(flow)
        flow.forget()
        self._events.append((time.monotonic(), "expired", f"{flow.name}: {reason}"))


def _written(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
