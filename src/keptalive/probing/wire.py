"""One TCP connection as the kernel shows it: connect, send a keepalive probe now, look, reset.

Rule: it does and it looks; it decides nothing. The rest of `probing` speaks to the network through this
class alone, so that a simulated path takes its place in tests.

A probe leaves at once when TCP_KEEPIDLE becomes shorter than the time that the connection has been idle:
tcp_keepalive_timer() in net/ipv4/tcp_timer.c is then due. The shortest TCP_KEEPIDLE is one second, so a
connection that was idle for less is not probed before its second is over.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple, Protocol

from keptalive.errors import NotSupported
from keptalive.policy import Policy
from keptalive.sockets import option_values, read_tcp_info, set_options

_CLOCK_MONOTONIC_COARSE = 6  # linux/time.h: the clock whose resolution is the kernel's tick


def _tick() -> float:
    resolution = getattr(time, "clock_getres", None)  # not on Windows, where nothing is measured anyway
    return 0.001 + (resolution(_CLOCK_MONOTONIC_COARSE) if resolution else 0.004)


#: Seconds by which a time of TCP_INFO may be off: the kernel counts in ticks, 4 ms long on most systems.
TICK = _tick()

# Armed and far away: the kernel's longest idle, so that no probe leaves by itself.
_ARMED = Policy(idle=32767, interval=1, count=127)
_NOW = Policy(idle=1, interval=1, count=127)

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s (socket(7)): close() sends RST

#: Seconds between a server's last words (HTTP's 408) and the FIN that belongs to them, at most.
FAREWELL = 1.0
_BURIAL = 1.5  # s that a burial may take: one repetition of a lost SYN
_TAKEN = 0.02  # s until a port that is taken is tried again
_UNSURE_FOR = 0.005  # s that a look may take before its times are too vague and it is repeated


class Look(NamedTuple):
    """What the kernel says now; times are those of the event loop's clock."""

    segments: int  # received so far
    answered: tuple[float, float]  # the last acknowledgement arrived between these
    round_trip: float  # s
    acknowledged: int  # bytes of ours
    probes: int = 0  # unanswered since the last answer, and sent


class End(NamedTuple):
    """How and when the other side ended the connection."""

    kind: Literal["fin", "reset", "error"]
    at: float
    errno: int = 0


class Wire(Protocol):
    """What a rung needs of a connection; `TcpWire` is the real one."""

    end: End | None
    connected: float  # when the connection was made
    heard: float | None  # when data came last
    heard_before: float | None  # when it came before that: a farewell and the FIN behind it are one

    async def connect(self) -> None:
        """Connect, and say what the protocol wants said first. Raises OSError."""

    def probe(self) -> None:
        """Send a keepalive probe now."""

    def hush(self) -> None:
        """Send no more probes until the next `probe`."""

    def say(self, data: bytes) -> None:
        """Send bytes. Raises OSError."""

    def look(self) -> Look:
        """Read what the kernel knows."""

    def close(self) -> None:
        """Reset the connection; does nothing the second time."""

    async def bury(self) -> None:
        """Close, and make a server that the RST cannot reach forget the connection as well."""


#: What is said once the connection stands: a TLS handshake, a request.
Greeting = Callable[[socket.socket], Awaitable[None]]


class TcpWire:
    """A connection of this machine."""

    def __init__(
        self,
        family: int,
        address: Any,
        *,
        changed: Callable[[], None],
        greet: Greeting | None = None,
        make_socket: Callable[[int], socket.socket] | None = None,
    ) -> None:
        """Prepare; *changed* is called when the other side ends it or says something."""
        self.end: End | None = None
        self.connected = 0.0
        self.heard: float | None = None
        self.heard_before: float | None = None
        self._family, self._address, self._greet = family, address, greet
        self._make_socket = make_socket or _new_socket
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._local: Any = None

    async def connect(self) -> None:
        """Connect and greet; on failure nothing stays open. Raises OSError, ssl.SSLError among them."""
        self._socket = self._open()
        try:
            await self._loop.sock_connect(self._socket, self._address)
            self._local = self._socket.getsockname()
            self._arm()
            self.connected = self.look().answered[0]  # the moment of the handshake, however late this runs
            if self._greet is not None:
                await self._greet(self._socket)
        except BaseException:
            self.close()
            raise
        self._loop.add_reader(self._socket, self._readable)

    def _arm(self) -> None:
        """Turn keepalive on, and its first probe far away."""
        if self._socket is not None:
            set_options(self._socket, option_values(_ARMED))

    def _open(self) -> socket.socket:
        sock = self._make_socket(self._family)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        return sock

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError as error:
            self._ended("reset", error.errno)
        except OSError as error:
            self._ended("error", error.errno)
        else:
            if data:
                self._hear(data)
            else:
                self._ended("fin")

    def _hear(self, data: bytes) -> None:
        """Note when something was said; what, matters to nobody here."""
        now = self._loop.time()
        if self.heard is not None and now - self.heard > FAREWELL:
            self.heard_before = self.heard
        self.heard = now
        self._changed()

    def _ended(self, kind: Literal["fin", "reset", "error"], errno: int | None = 0) -> None:
        assert self._socket is not None
        self.end = End(kind, self._loop.time(), errno or 0)
        self._loop.remove_reader(self._socket)
        self._changed()

    def probe(self) -> None:
        """Send a keepalive probe now, or when the connection has been idle for a second."""
        self._set_idle(_NOW)

    def hush(self) -> None:
        """Send no more probes until the next `probe`."""
        self._set_idle(_ARMED)

    def _set_idle(self, policy: Policy) -> None:
        if self._socket is not None:
            set_options(self._socket, {"idle": option_values(policy)["idle"]})

    def say(self, data: bytes) -> None:
        """Send bytes. Raises OSError."""
        assert self._socket is not None
        self._socket.send(data)

    def look(self) -> Look:
        """Read TCP_INFO. Raises NotSupported where the kernel does not say what is needed."""
        assert self._socket is not None
        for _ in range(3):  # being preempted in between would blur the times
            before = self._loop.time()
            info = read_tcp_info(self._socket)
            after = self._loop.time()
            if after - before < _UNSURE_FOR:
                break
        if info is None or info.last_ack_recv is None or info.segs_in is None:
            raise NotSupported("a path is measured with TCP_INFO, which this system does not offer")
        answered = (before - info.last_ack_recv - TICK, after - info.last_ack_recv + TICK)
        return Look(info.segs_in, answered, info.rtt or 0.0, info.bytes_acked or 0, info.probes or 0)

    def close(self) -> None:
        """Reset the connection; does nothing the second time."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def bury(self) -> None:
        """Close, and make a server that the RST cannot reach forget the connection as well.

        What forgot the flow drops our RST too, and the server would keep its end. A SYN from the same port
        passes; the server answers that it knows an older connection of that name, and to this answer our
        kernel replies with an RST that does arrive (RFC 9293, 3.5.1: half-open connections).
        """
        self.close()
        if self._local is None:
            return
        with self._open() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                await self._bind(sock)
                await asyncio.wait_for(self._loop.sock_connect(sock, self._address), _BURIAL)
            except (OSError, asyncio.TimeoutError):
                return  # the port is shared, or the path is down: a server has means of its own as well

    async def _bind(self, sock: socket.socket) -> None:
        """Take the port of the connection that was closed. Raises OSError (EADDRINUSE) if it stays taken.

        A thread that starts a program copies all descriptors, and a copy keeps a connection, and its port,
        until exec closes it: on a busy machine, for some time.
        """
        deadline = self._loop.time() + _BURIAL
        while True:
            try:
                return sock.bind(self._local)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or self._loop.time() > deadline:
                    raise
            await asyncio.sleep(_TAKEN)


def _new_socket(family: int) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM)
