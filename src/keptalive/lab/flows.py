"""A relayed connection: what one of two sockets receives the other sends, until the relay forgets both.

Rule: nothing here waits. What a firewall would let pass passes: bytes, a FIN in one direction, an RST.

TCP_INFO says how many segments a socket received (tcpi_segs_in, since Linux 4.2): keepalive probes
count, though no byte comes with them. A socket is made deaf by IP_MINTTL (ip(7)): the kernel discards,
before TCP sees them, packets with a lower TTL than 255, and loopback's is 64. Neither needs any right.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT

from keptalive.lab.polling import Poller

_IP_MINTTL = 21  # linux/in.h; the socket module has no name for it
_IPV6_MINHOPCOUNT = 73  # linux/in6.h
_SEGS_IN = struct.Struct("=140xI")  # offset in struct tcp_info, linux/tcp.h
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time

#: Where bytes are between recv and send; one for all, since nothing waits in between. 1 MiB: the fewer
#: calls, the faster, up to what a socket has received meanwhile.
_BUFFER = memoryview(bytearray(1 << 20))


class Flow:
    """A client's connection, and the one to the server that is opened for it."""

    def __init__(
        self,
        client: socket.socket,
        upstream: tuple[str, int],
        poller: Poller,
        when_over: Callable[[Flow], None],
    ) -> None:
        """Start to connect to *upstream*; *when_over* is called once the connections are closed."""
        server = socket.socket(socket.AF_INET6 if ":" in upstream[0] else socket.AF_INET)
        self.name = ""  # for the record of events
        self._when_over = when_over
        self.poller = poller
        self._client, self._server = _Leg(client, self), _Leg(server, self)
        self._client.other, self._server.other = self._server, self._client
        server.connect_ex(upstream)  # in progress, or refused: told by SO_ERROR once it is ready
        poller.watch(server.fileno(), EPOLLOUT, self._connected)

    def _connected(self, _: int) -> None:
        if self._server.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.reset()  # as a firewall lets the RST of a closed port pass
        else:
            self._server.watch()
            self._client.watch()

    def segments(self) -> tuple[int, int]:
        """Return how many segments came from the client, and from the server."""
        return count_segments(self._client.sock), count_segments(self._server.sock)

    def forget(self) -> None:
        """Make both ends talk to nobody: hear nothing, say nothing, close nothing."""
        for leg in (self._client, self._server):
            leg.unwatch()
            deafen(leg.sock)
            # Should this process be killed, the ends get RSTs and not FINs.
            leg.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def reset(self) -> None:
        """Close both connections with an RST."""
        for leg in (self._client, self._server):
            leg.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close both connections."""
        for leg in (self._client, self._server):
            leg.unwatch()
            self.poller.close(leg.sock)
        self._when_over(self)


class _Leg:
    """One of the two sockets."""

    other: _Leg

    def __init__(self, sock: socket.socket, flow: Flow) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # pass on what comes as it comes
        self.sock, self._flow = sock, flow
        self._left = b""  # came from the other, and this socket has not taken it yet
        self._ended = False  # its peer has sent a FIN

    def watch(self) -> None:
        """Read while the other takes it; write while something is left."""
        mask = 0 if self._ended or self.other._left else EPOLLIN
        if self._left:
            mask |= EPOLLOUT
        self._flow.poller.watch(self.sock.fileno(), mask, self._ready)

    def unwatch(self) -> None:
        self._flow.poller.watch(self.sock.fileno(), 0, self._ready)

    def _ready(self, mask: int) -> None:
        try:
            if mask & EPOLLOUT:
                self._send(self._left)
            elif self.other._left:
                self._flow.reset()  # it is broken, or it would not be ready while it is not read
            else:
                self._receive()
        except BlockingIOError:
            return
        except OSError:
            self._flow.reset()  # an RST from one end is passed on to the other

    def _receive(self) -> None:
        size = self.sock.recv_into(_BUFFER)
        self._ended = size == 0
        self.other._send(_BUFFER[:size])

    def _send(self, data: bytes | memoryview) -> None:
        """Send what the socket takes and keep the rest; after the last byte pass on the other's FIN."""
        waited = self._left
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        self._left = bytes(data[sent:])
        if self.other._ended and not self._left:
            self.sock.shutdown(socket.SHUT_WR)
            if self._ended and not self.other._left:
                self._flow.close()
                return
        if waited or self._left or self.other._ended:
            self.watch()
            self.other.watch()


def count_segments(sock: socket.socket) -> int:
    """Return how many segments *sock* has received, whatever was in them; raises OSError or struct.error."""
    (count,) = _SEGS_IN.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGS_IN.size))
    return int(count)


def deafen(sock: socket.socket) -> None:
    """Make the kernel discard whatever comes for *sock* over loopback; nobody is told. Raises OSError."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, 255)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, 255)
