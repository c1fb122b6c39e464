"""The kernel's table of TCP sockets (sock_diag(7)), decoded by plain `struct`.

Rule: bytes in, numbers out; no meaning. A record is a tuple, thirty thousand of which
are an ordinary answer, so it carries just what is used, undecoded where that is cheaper:

    shape       4 bytes: family, state, timer, count of probes or retransmissions
    ports       as in the packet, read in this machine's byte order: see endpoints.port_number()
    addresses   4 bytes (IPv4), 16 (IPv6), or 20: link-local ones, see endpoints.with_interface()
    expires     ms until the timer fires
    uid, inode  of the owner and of the socket file; 0 where there is none any more

IPv4, IPv6 and MPTCP (whose subflows are TCP sockets with the inode of their file).
"""

from __future__ import annotations

import _socket
import errno
from collections.abc import Iterator
from struct import Struct
from struct import error as StructError

from keptalive.errors import NotSupported, SocketError
from keptalive.linux import netlink
from keptalive.linux.ahead import ahead
from keptalive.linux.endpoints import LINK_LOCAL, with_interface

Record = tuple[bytes, int, int, bytes, bytes, int, int, int]

# The older of two requests: it goes once through the kernel's table, for IPv4 and IPv6 together. The
# other, SOCK_DIAG_BY_FAMILY, takes a walk for each, a tenth of the time each on a machine with 24 GB.
_TCPDIAG_GETSOCK = 18
_AF_INET, _AF_INET6 = 2, 10

# struct inet_diag_req: family (any), masks, extensions, an empty socket id (all), states, flags
_REQUEST = Struct("=4x48xI4x")

# Netlink's header, and of struct inet_diag_msg: shape; ports; addresses; interface; expires; uid; inode.
# Skipped are the cookie, the queues, and the attributes that follow unasked.
_IPV4 = "=16x4sHH4s12x4s12x4x8xI8xII"
_IPV6 = "=16x4sHH16s16s4x8xI8xII"
_MIXED = "=16x4sHH16s16sI8xI8xII"
_FIXED = Struct(_IPV4).size
_FAMILY = 16  # where the family stands

# Bits for the states (include/net/tcp_states.h); SYN-RECV's requests are 12, NEW-SYN-RECV.
_LISTEN, _TIME_WAIT, _CLOSE, _SYN_RECV, _NEW_SYN_RECV = 1 << 10, 1 << 6, 1 << 7, 1 << 3, 1 << 12
_EVERY = (1 << 13) - 2
#: Connections that somebody holds: what `ss -t` lists.
CONNECTIONS = _EVERY & ~(_LISTEN | _TIME_WAIT | _CLOSE | _SYN_RECV | _NEW_SYN_RECV)
#: Listeners, half open connections and those in TIME-WAIT as well: what `ss -ta` lists.
ALL = _EVERY

#: Values of the timer field (inet_sk_diag_fill), as ss calls them. One of them only runs at a time;
#: "on" is retransmission, loss probe or reordering, and hides keepalive like "persist" (zero window).
TIMERS = ("off", "on", "keepalive", "timewait", "persist")


def tcp_sockets(sock: _socket.socket, states: int = CONNECTIONS) -> Iterator[list[Record]]:
    """Yield the records of all TCP sockets in the namespace of *sock*, a netlink socket; close that.

    They come in batches of a few hundred, as the kernel goes through its table. Raises
    NotSupported if this kernel has no table to show, SocketError for an answer cut short.
    """
    for length, messages in ahead(_dump(sock, states)):
        yield decode(length, messages)


def _dump(sock: _socket.socket, states: int) -> Iterator[tuple[int, bytes]]:
    try:
        yield from netlink.dump(sock, _TCPDIAG_GETSOCK, _REQUEST.pack(states))
    except SocketError as error:
        if error.errno == errno.EBADMSG:
            raise
        raise NotSupported(f"this kernel does not list its TCP sockets: {error.strerror}").with_hint(
            "its module tcp_diag may be missing: modprobe tcp_diag"
        ) from error
    finally:
        sock.close()


def decode(length: int, messages: bytes) -> list[Record]:
    """Decode a run of inet_diag messages, each of *length* bytes. Raises SocketError (EBADMSG)."""
    families = messages[_FAMILY::length]
    try:
        if families.count(_AF_INET) == len(families):
            return list(_struct(_IPV4, length).iter_unpack(messages))
        if families.count(_AF_INET6) == len(families) and LINK_LOCAL not in messages:
            return list(_struct(_IPV6, length).iter_unpack(messages))
        rows = _struct(_MIXED, length).iter_unpack(messages)
    except StructError:
        raise SocketError(errno.EBADMSG, "the kernel's record of a socket was cut short; try again") from None
    return [
        (shape, sport, dport, source[:4], peer[:4], expires, uid, inode)
        if shape[0] == _AF_INET
        else (
            shape,
            sport,
            dport,
            with_interface(source, link),
            with_interface(peer, link),
            expires,
            uid,
            inode,
        )
        for shape, sport, dport, source, peer, link, expires, uid, inode in rows
    ]


_structs: dict[tuple[str, int], Struct] = {}


def _struct(layout: str, length: int) -> Struct:
    """Return the decoder for messages of *length* bytes; a dump has one or two lengths."""
    key = layout, length
    if key not in _structs:
        _structs[key] = Struct(f"{layout}{length - _FIXED}x")
    return _structs[key]
