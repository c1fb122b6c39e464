"""The relay engine's process: a firewall that forgets, made of two sockets for each connection.

Rule: it counts segments, not bytes, so a keepalive probe keeps a flow alive here as it does in a real
firewall; and what it forgets it leaves open and deaf, since closing would tell the ends.

TCP_INFO says how many segments a socket received (tcpi_segs_in, since Linux 4.2): if neither leg's
count moved for the idle timeout, the flow is forgotten. A forgotten socket is made deaf by IP_MINTTL
(ip(7)): the kernel discards, before TCP sees them, packets with a lower TTL than 255, and loopback's is
64. That needs no right at all. What it can't do: TCP ends at the relay, so the server never sees a
client's probe.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from keptalive.errors import LabError
from keptalive.lab.control import Handler, Owner
from keptalive.lab.listeners import listen

_IP_MINTTL = 21  # linux/in.h; the socket module has no name for it
_IPV6_MINHOPCOUNT = 73  # linux/in6.h
_SEGS_IN = struct.Struct("=140xI")  # offset in struct tcp_info, linux/tcp.h

_SLICES = 50  # a tick is this part of the idle timeout: a flow is forgotten at most 4 % late
_SHORTEST_TICK, _LONGEST_TICK = 0.02, 0.25  # s: what an idle CPU does not notice; what a test still does not
_MOST_EVENTS = 500  # in one reply: each is some 100 bytes, one packet takes 128 KiB


async def main(owner: Owner) -> None:
    """Serve the relay engine."""
    relay = Relay()
    handlers: dict[str, Handler] = {
        "start": relay.start,
        "open": relay.open,
        "expire": relay.expire,
        "events": relay.tell_events,
        "adopt": relay.adopt,
    }
    try:
        await owner.serve_async(handlers)
    finally:
        relay.close()


class _Leg(asyncio.Protocol):
    """One of the two sockets of a flow."""

    transport: asyncio.Transport
    other: _Leg

    def __init__(self, flow: _Flow) -> None:
        self.flow = flow
        self.ended = False  # the peer sent its FIN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.flow.leg_made(self)

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ended = True
        self.other.transport.write_eof()
        return not self.other.ended  # False closes, once both ends have sent their FIN

    def connection_lost(self, error: Exception | None) -> None:
        self.flow.leg_lost(self, error)

    @property
    def sock(self) -> Any:
        return self.transport.get_extra_info("socket")

    @property
    def segments(self) -> int:
        """How many segments the kernel received on it."""
        (count,) = _SEGS_IN.unpack(self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGS_IN.size))
        return int(count)

    def reset(self) -> None:
        """Close with an RST instead of a FIN, unless it is closed."""
        if not self.transport.is_closing():
            _linger_not(self.sock)
            self.transport.abort()

    def deafen(self) -> None:
        """Neither hear nor speak from now on, and stay open."""
        self.transport.pause_reading()
        deafen(self.sock)
        _linger_not(self.sock)  # should this process be killed, the ends get RSTs and not a FIN


class _Flow:
    """A client's connection, and the one to the server that was opened for it."""

    def __init__(self, relay: Relay, upstream: tuple[str, int]) -> None:
        self.client, self.server = _Leg(self), _Leg(self)
        self.client.other, self.server.other = self.server, self.client
        self._relay, self._upstream = relay, upstream
        self._segments = (0, 0)
        self._moved = time.monotonic()

    def leg_made(self, leg: _Leg) -> None:
        """Once the client is there, connect to the server; once both are, forward and watch."""
        if leg is self.client:
            # Soon and not now: in Python 3.10 the transport starts to read after this call, paused or not.
            asyncio.get_running_loop().call_soon(leg.transport.pause_reading)
            self._relay.run(self._connect())
        elif self.client.transport.is_closing():
            leg.reset()
        else:
            self._relay.flows.add(self)
            self.client.transport.resume_reading()

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, *self._upstream)
        except OSError:
            self.client.reset()  # as a firewall lets a closed port's RST pass

    def leg_lost(self, leg: _Leg, error: Exception | None) -> None:
        """What one end did to its connection, do to the other's."""
        if self not in self._relay.flows:
            return
        self._relay.flows.discard(self)
        if error is None:
            leg.other.transport.close()
        else:
            leg.other.reset()

    def moved_since(self, now: float) -> float:
        """Return when (CLOCK_MONOTONIC) a segment was last seen to have come, at most *now*."""
        segments = (self.client.segments, self.server.segments)
        if segments != self._segments:
            self._segments, self._moved = segments, now
        return self._moved

    def forget(self) -> None:
        """Make both ends talk to nobody."""
        self._relay.flows.discard(self)
        self._relay.forgotten.append(self)
        self.client.deafen()
        self.server.deafen()

    def reset(self) -> None:
        """Close both connections with RSTs."""
        self.client.reset()
        self.server.reset()

    def __str__(self) -> str:
        here, there = (leg.transport.get_extra_info("peername") for leg in (self.client, self.server))
        return f"{_written(here)} > {_written(there)}"


class Relay:
    """All flows of one lab."""

    def __init__(self) -> None:
        self.flows: set[_Flow] = set()
        self.forgotten: list[_Flow] = []
        self._idle_timeout = 0.0
        self._events: list[tuple[float, str, str]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._commands: list[int] = []  # pidfds

    def start(self, idle_drop: float) -> dict[str, Any]:
        """Forget flows after *idle_drop* seconds; refuse where this system cannot do it."""
        self._idle_timeout = idle_drop
        with socket.socket() as trial:
            try:
                deafen(trial)
                _SEGS_IN.unpack(trial.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGS_IN.size))
            except (OSError, struct.error) as error:
                raise LabError(f"sockets cannot be made deaf, or not watched, here ({error})") from error
        self._watch()
        return {}

    def open(self, hosts: Sequence[str], to: tuple[str, int]) -> dict[str, Any]:
        """Listen at each of *hosts*, on a port of ours, and relay to the host and port *to*."""
        host, port = to
        listeners = listen(hosts)
        loop = asyncio.get_running_loop()
        for listener in listeners:
            self.run(loop.create_server(lambda: _Flow(self, (host, port)).client, sock=listener))
        return {"port": listeners[0].getsockname()[1]}

    def expire(self) -> dict[str, Any]:
        """Forget every flow, now."""
        for flow in list(self.flows):
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
        for ended, _event in running.poll(0):
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
        for flow in [*self.flows, *self.forgotten]:
            flow.reset()

    def run(self, coroutine: Any) -> None:
        """Run it in the background."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _watch(self) -> None:
        now = time.monotonic()
        for flow in list(self.flows):
            idle = now - flow.moved_since(now)
            if idle >= self._idle_timeout:
                self._forget(flow, f"idle for {idle:.2f} s")
        tick = min(max(self._idle_timeout / _SLICES, _SHORTEST_TICK), _LONGEST_TICK)
        asyncio.get_running_loop().call_later(tick, self._watch)

    def _forget(self, flow: _Flow, reason: str) -> None:
        flow.forget()
        self._events.append((time.monotonic(), "expired", f"{flow}: {reason}"))


def deafen(sock: Any) -> None:
    """Make the kernel discard whatever comes for this socket over loopback; the ends get no answer at all."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, 255)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, 255)


def _linger_not(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _written(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
