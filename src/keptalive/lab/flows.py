"""A relayed connection: what one of two sockets receives the other sends, until the relay forgets both.

Rule: nothing here waits. What a firewall would let pass passes: bytes, a FIN in one direction, an RST.

TCP_INFO says how many segments a socket received (tcpi_segs_in, since Linux 4.2): keepalive probes
count, though no byte comes with them. A socket is made deaf by IP_MINTTL (ip(7)): the kernel discards,
before TCP sees them, packets with a lower TTL than 255. Loopback's is 64, and so is that of most systems,
less one for each router on the way. It counts them (sk_drops, which SO_MEMINFO shows since Linux 4.12), so
who is deaf still learns that something came. None of it needs any right.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLRDHUP
from typing import Any

from keptalive.lab.polling import EDGES, Poller
from keptalive.lab.upstream import on_loopback
from keptalive.sockets import format_address

_IP_MINTTL = 21  # linux/in.h; the socket module has no name for it
_IPV6_MINHOPCOUNT = 73  # linux/in6.h
_SO_MEMINFO = 55  # asm-generic/socket.h
_DROPS = struct.Struct("=32xI")  # SK_MEMINFO_DROPS, linux/sock_diag.h
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK

#: Where bytes are between recv and send; one for all, since nothing waits in between. The fewer calls, the
#: faster, up to what a socket has received meanwhile.
_SIZE = 1 << 20
_BUFFER = memoryview(bytearray(_SIZE))
_SMALL = 4096  # bytes up to which the buffer's beginnings are kept: to make one costs a fiftieth of a message
_TURNS = 4  # buffers of one connection, before others have their turn

#: Where a socket leads to: an address of its own family.
Address = tuple[Any, ...]


class _Beginnings(dict[int, memoryview]):
    """The first so many bytes of the buffer."""

    def __missing__(self, size: int) -> memoryview:
        beginning = _BUFFER[:size]
        if size <= _SMALL:
            self[size] = beginning
        return beginning


_FIRST = _Beginnings()


class Flow:
    """A client's connection, and the one to the server that is opened for it."""

    def __init__(
        self,
        client: socket.socket,
        address: Address,
        upstream: Sequence[Address],
        poller: Poller,
        *,
        when_over: Callable[[Flow], None],
        when_unreached: Callable[[Flow, str], None],
    ) -> None:
        """Start to connect the client at *address* to the first address of *upstream* that lets us.

        *when_unreached* is called, with the reason, if none does; *when_over* once the connections are over.
        """
        self.poller = poller
        self._when_over, self._when_unreached = when_over, when_unreached
        self._over = False
        self._upstream = list(upstream)
        self._ends = [address, upstream[0]]
        self.client, self.server = Leg(client, self), Leg(self._connect(), self)
        self.client.other, self.server.other = self.server, self.client

    @property
    def name(self) -> str:
        """Where from, and where to."""
        return " > ".join(format_address(end) or "" for end in self._ends)

    @property
    def client_address(self) -> Address:
        """Where the client comes from."""
        return self._ends[0]

    @property
    def legs(self) -> tuple[Leg, Leg]:
        """Both sockets, the client's first."""
        return self.client, self.server

    def _connect(self) -> socket.socket:
        address = self._ends[1] = self._upstream.pop(0)
        server = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, _STREAM)
        prompt(server, address)
        # Whether it is in progress or refused is told by what it is ready for; not always why.
        self._refused = server.connect_ex(address)
        self.poller.watch(server.fileno(), self._connected, EDGES)
        return server

    def _connected(self, mask: int) -> None:
        server = self.server
        if not mask & (EPOLLERR | EPOLLHUP):
            self.poller.replace(server.sock.fileno(), server.ready)
            self.client.watch()
            if mask & EPOLLIN:  # it speaks first
                server.ready(mask)
        elif self._upstream:
            self.poller.close(server.sock)
            server.use(self._connect())
        else:
            reason = server.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or self._refused
            self._when_unreached(self, os.strerror(reason))
            self.reset()  # as a firewall lets the RST of a closed port pass

    def pause(self) -> None:
        """Pass on nothing, and hear nothing: both ends' packets get lost."""
        for leg in self.legs:
            leg.unwatch()
            deafen(leg.sock)

    def resume(self) -> None:
        """Undo pause()."""
        for leg in self.legs:
            deafen(leg.sock, False)
            leg.watch()

    def forget(self) -> None:
        """Make both ends talk to nobody: hear nothing, say nothing, close nothing."""
        self.pause()
        for leg in self.legs:
            leg.reset_on_close()  # should this process be killed, the ends get RSTs and not FINs

    def reset(self) -> None:
        """Close both connections with an RST; does nothing once they are closed."""
        if not self._over:
            self._over = True
            self._when_over(self)
            for leg in self.legs:
                leg.reset()

    def close(self) -> None:
        """Close both connections; does nothing once they are closed."""
        if not self._over:
            self._over = True
            self._when_over(self)
            for leg in self.legs:
                self.poller.close(leg.sock)


class Leg:
    """One of the two sockets."""

    __slots__ = ("_hear", "ended", "flow", "left", "other", "receive", "send", "sock")

    other: Leg

    def __init__(self, sock: socket.socket, flow: Flow) -> None:
        self.flow = flow
        self.left: memoryview | bytes = b""  # came from the other, and this socket has not taken it yet
        self.ended = False  # its peer has sent a FIN
        self._hear: Callable[[memoryview], None] | None = None
        self.use(sock)

    def use(self, sock: socket.socket) -> None:
        """Be this socket from now on."""
        self.sock = sock
        self.receive: Callable[[memoryview], int] = sock.recv_into
        self.send: Callable[[memoryview | bytes], int] = sock.send
        if self._hear is not None:
            self.tell(self._hear)

    def tell(self, hear: Callable[[memoryview], None]) -> None:
        """Show *hear* all that comes, before it is passed on."""
        self._hear, receive = hear, self.sock.recv_into

        def both(buffer: memoryview) -> int:
            size = receive(buffer)
            if size:
                hear(buffer[:size])
            return size

        self.receive = both

    def watch(self) -> None:
        """Pass on from now on what comes, and what has come."""
        self.flow.poller.watch(self.sock.fileno(), self.ready, EDGES)

    def unwatch(self) -> None:
        """Pass on nothing from now on."""
        self.flow.poller.unwatch(self.sock.fileno())

    def reset_on_close(self) -> None:
        """Have the peer get an RST, and no FIN, whoever closes the socket."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def reset(self) -> None:
        """Close it with an RST."""
        self.reset_on_close()
        self.flow.poller.close(self.sock)

    def ready(self, mask: int) -> None:
        """Pass on what can be passed on now: until this socket has no more or the other takes no more.

        One function with few names: each call costs a hundredth of what the kernel takes for a small message.
        """
        other = self.other
        size = 0
        try:
            if mask & EPOLLERR:
                self.flow.reset()  # an RST from one end is passed on to the other
                return
            if self.left:
                self._flush()
            if other.left or self.ended:
                return
            turns = _TURNS
            while turns:
                size = 0
                size = self.receive(_BUFFER)
                if not size:
                    self.ended = True
                    other.finish()
                    return
                sent = other.send(_FIRST[size])
                if sent < size:
                    other.left = memoryview(bytes(_BUFFER[sent:size]))
                    return
                # A buffer that is not full says that there was no more, but not whether a FIN was behind it.
                if size < _SIZE and not mask & EPOLLRDHUP:
                    return
                turns -= 1
            self.flow.poller.again(self.sock.fileno(), EPOLLIN | mask & EPOLLRDHUP)
        except BlockingIOError:
            if size:
                other.left = memoryview(bytes(_BUFFER[:size]))
        except OSError:
            self.flow.reset()

    def _flush(self) -> None:
        try:
            sent = self.send(self.left)
        except BlockingIOError:
            return
        self.left = self.left[sent:]
        if not self.left:
            if self.other.ended:
                self.finish()
            else:
                self.other.ready(EPOLLRDHUP)  # what it was told of while this waited, it is not told again

    def finish(self) -> None:
        """Pass on the other's FIN, after its last byte; after both FINs the flow is over."""
        if not self.left:
            self.sock.shutdown(socket.SHUT_WR)
            if self.ended and not self.other.left:
                self.flow.close()


def prompt(sock: socket.socket, end: Address) -> None:
    """Have *sock*, and whatever it accepts, send at once; *end* is an address of either of its ends.

    Loopback is never congested, so reno is enough there, which everybody may choose (tcp(7)): bbr, the
    default of some systems, measures and paces each segment, a hundredth of what a small message costs.
    Raises OSError.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if on_loopback(end[0]):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def deafen(sock: socket.socket, deaf: bool = True) -> None:
    """Make the kernel discard whatever comes for *sock*, or no longer; nobody is told. Raises OSError."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, 255 * deaf)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, 255 * deaf)


def discarded(sock: socket.socket) -> int:
    """Return how many packets the kernel has discarded that came for *sock*. Raises OSError."""
    return int(_DROPS.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.size))[0])
