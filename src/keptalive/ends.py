"""How a connection ended: by the peer's FIN, or killed.

Rule: asks the kernel, and only at the end. A body that ends when its connection does
is whole after a FIN and cut short otherwise; some clients cannot tell, so we do.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

from keptalive import platforms, tcp_info
from keptalive.errors import ConnectionLost


def watch_end(sock: Any) -> None:
    """Make the end of a killed TLS connection an error instead of an end of file.

    CPython 3.10, and before 3.11.9 and 3.12.3 (gh-115627), reads a connection that died
    of ETIMEDOUT as a clean end, and a body that ends when the connection does is cut
    short with success. SSLSocket asks `suppress_ragged_eofs` at just that moment.
    """
    ssl = sys.modules.get("ssl")  # not loaded: then this is no TLS socket, and ssl is dear to import
    if ssl is not None and isinstance(sock, ssl.SSLSocket) and sock.suppress_ragged_eofs is True:
        sock.suppress_ragged_eofs = _AskTheKernel(sock)


_READ_AN_END = "UNEXPECTED_EOF_WHILE_READING"  # SSLError.reason: the peer's FIN without close_notify


class _AskTheKernel:
    """True as long as an end of file is the peer's FIN; ConnectionLost where the connection was killed."""

    __slots__ = ("_sock",)

    def __init__(self, sock: Any) -> None:
        self._sock = weakref.ref(sock)

    def __bool__(self) -> bool:
        # OpenSSL 3 names the end that it read, and answers a FIN with an alert, which may bring a reset
        # before the kernel can be asked. Where it names nothing, its read failed or it is older.
        end = sys.exc_info()[1]
        if getattr(end, "reason", None) != _READ_AN_END and connection_was_killed(self._sock()):
            raise lost()
        return True


def connection_was_killed(sock: Any) -> bool:
    """Tell whether this connection ended by a timeout or a reset, and not by the peer's FIN.

    A FIN leaves the state CLOSE-WAIT, anything else CLOSE. A FIN and then a reset, as
    from a server that closes before it has read all, leave CLOSE too, but with EPIPE
    pending (tcp_reset() in net/ipv4/tcp_input.c); the other errors have just been
    handed out by the read that found the end. False where the platform does not say.
    """
    where = platforms.current().tcp_info
    if where is None or sock is None or sock.fileno() == -1:
        return False
    import errno  # only the end of a connection needs these two
    from socket import SO_ERROR, SOL_SOCKET

    try:
        ended = tcp_info.parse(sock.getsockopt(*where, 1)).state == "CLOSE"
        return ended and sock.getsockopt(SOL_SOCKET, SO_ERROR) != errno.EPIPE
    except OSError:
        return False


def lost() -> ConnectionLost:
    """Return the error for a connection that died where a body seemed to end, with ETIMEDOUT as errno."""
    import errno  # only trouble needs it

    return ConnectionLost(errno.ETIMEDOUT, "Connection timed out: the path died and the answer is cut short")
