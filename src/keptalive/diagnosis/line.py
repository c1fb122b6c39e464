"""The connection of one arm: to the server or through a proxy, with TLS or without, plain or held.

Rule: a wire like those of a measurement (the same questions can be asked of it), that speaks besides. It
understands nothing of what it hears.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from keptalive.diagnosis.evidence import Timers
from keptalive.diagnosis.request import Request
from keptalive.diagnosis.response import NotHttp, Response
from keptalive.errors import BadInput
from keptalive.platforms import Field
from keptalive.policy import Policy
from keptalive.probing.target import Address
from keptalive.probing.wire import TcpWire
from keptalive.sockets import option_values, read_tcp_info, set_options
from keptalive.tcp_info import TcpInfo

_PIECE = 1 << 16  # bytes handed to the kernel at a time
_FAREWELL = 10  # looks, a twentieth of a second apart, by which a FIN has been acknowledged
_NO_LINGER = b"\0" * 8  # struct linger: off (socket(7)); close() sends FIN


class ProxyRefused(ConnectionError):
    """The proxy would not open a tunnel."""


class Line(TcpWire):
    """One arm's connection."""

    def __init__(
        self,
        address: Address,
        request: Request,
        *,
        timers: Timers | None,
        context: ssl.SSLContext | None,
        changed: Callable[[], None],
        make_socket: Callable[[int], socket.socket] | None = None,
    ) -> None:
        """Prepare; *context* is that of TLS, *timers* those of the held arm. Set `deliver` before sending."""
        super().__init__(
            address.family, address.sockaddr, changed=changed, greet=self._introduce, make_socket=make_socket
        )
        self.deliver: Callable[[bytes], None] = lambda data: None
        self._request, self._timers, self._context = request, timers, context
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    # -- keepalive: the arm's own, and that of a question -------------------------------------------------

    def _arm(self) -> None:
        """Set the held arm's keepalive; the plain one has none."""
        if self._timers is not None and self._socket is not None:
            set_options(self._socket, _values(self._timers))

    def prepare(self) -> None:
        """Prepare for questions: no probe but these, and a count that they do not exhaust."""
        super()._arm()

    def resume(self) -> None:
        """Go on as before the questions."""
        self._arm()

    def info(self) -> TcpInfo | None:
        """Read TCP_INFO, or None once closed."""
        return None if self._socket is None else read_tcp_info(self._socket)

    @property
    def names(self) -> tuple[object, object]:
        """The local and the remote address."""
        return self._local, self._address

    # -- before the request: tunnel and TLS ---------------------------------------------------------------

    async def _introduce(self, sock: socket.socket) -> None:
        if self._request.tls and self._request.proxy is not None:
            await self._tunnel(sock)
        if self._context is not None:
            await self._shake_hands(sock, self._context)

    async def _tunnel(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, self._request.encode_connect())
        reply = Response("CONNECT")
        while reply.status is None:
            # One byte at a time: what follows the proxy's words is the server's, and TLS.
            data = await loop.sock_recv(sock, 1)
            if not data:
                raise ProxyRefused("the proxy ended the connection instead of opening a tunnel")
            try:
                reply.feed(data)
            except NotHttp as error:
                raise BadInput(f"the proxy does not speak HTTP: {error}") from error
        if reply.status == 407:
            raise BadInput("the proxy wants another user name or password (status 407)")
        if not 200 <= reply.status < 300:
            raise ProxyRefused(f"the proxy opened no tunnel (status {reply.status})")

    async def _shake_hands(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._request.host)
        while True:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            if self._outgoing.pending:
                await loop.sock_sendall(sock, self._outgoing.read())
            if done:
                return
            received = await loop.sock_recv(sock, _PIECE)
            if not received:
                raise ConnectionResetError("the server ended the connection in the TLS handshake")
            self._incoming.write(received)

    # -- speaking and hearing -----------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Send the request, while what comes meanwhile is heard. Raises OSError."""
        for start in range(0, len(data), _PIECE):
            assert self._socket is not None
            await self._loop.sock_sendall(self._socket, self._sealed(data[start : start + _PIECE]))

    def say(self, data: bytes) -> None:
        """Send a few bytes. Raises OSError."""
        super().say(self._sealed(data))

    def _sealed(self, data: bytes) -> bytes:
        if self._tls is None:
            return data
        self._tls.write(data)
        return self._outgoing.read()

    def _hear(self, data: bytes) -> None:
        super()._hear(data)
        if self._tls is None:
            self.deliver(data)
            return
        self._incoming.write(data)
        try:
            while plain := self._tls.read(_PIECE):
                self.deliver(plain)
            self._ended("fin")  # close_notify: no more will come, whatever becomes of the connection beneath
        except ssl.SSLWantReadError:
            pass  # no more for now
        except ssl.SSLError:
            self._ended("error")  # no TLS any more: something on the way spoke into it

    async def part(self) -> None:
        """Close with FIN: what has been answered needs no reset. Where the FIN does not arrive, bury."""
        if self._socket is None:
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end was faster, and said so with an RST
        for _ in range(_FAREWELL):
            info = self.info()
            if info is None or info.state != "FIN-WAIT-1":
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                self.close()
                return
            await asyncio.sleep(0.05)
        await self.bury()


def _values(timers: Timers) -> dict[Field, tuple[int, int, int]]:
    """Return the options for timers that a Policy may not have: an interval longer than idle."""
    longest = timers.period
    values = option_values(Policy(longest, timers.interval, timers.count, timers.user_timeout))
    shortest = min(timers.idle, timers.interval)
    return {**values, "idle": option_values(Policy(timers.idle, shortest, timers.count))["idle"]}
