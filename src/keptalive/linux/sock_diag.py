"""The kernel's table of TCP sockets (sock_diag(7)), decoded by plain `struct`.

Rule: bytes in, numbers out; no meaning. A record is a tuple, thirty thousand of which
are an ordinary answer, so it carries just what is used, undecoded where that is cheaper:

    ports       local, remote
    shape       4 bytes: family, state, timer, count of probes or retransmissions
    addresses   4 bytes (IPv4), 16 (IPv6), or 20: link-local ones, see endpoints.with_interface()
    expires     ms until the timer fires
    uid, inode  of the owner and of the socket file; 0 where there is none any more

IPv4, IPv6 and MPTCP (whose subflows are TCP sockets with the inode of their file).
"""

from __future__ import annotations

import _socket
import errno
from collections.abc import Iterator
from operator import add
from struct import Struct
from struct import error as StructError

from keptalive.errors import NotSupported, SocketError
from keptalive.linux import netlink
from keptalive.linux.ahead import ahead
from keptalive.linux.endpoints import LINK_LOCAL, with_interface

Record = tuple[int, int, bytes, bytes, bytes, int, int, int]

# The older of two requests: it goes once through the kernel's table, for IPv4 and IPv6 together. The
# other, SOCK_DIAG_BY_FAMILY, takes a walk for each, a tenth of the time each on a machine with 24 GB.
_TCPDIAG_GETSOCK = 18
_AF_INET = 2

# struct inet_diag_req: family (any), masks, extensions, an empty socket id (all), states, flags
_REQUEST = Struct("=4x48xI4x")

# Netlink's header, and of struct inet_diag_msg: the ports, which are in network byte order; and shape,
# addresses, interface, expires, uid and inode, which are in this machine's, or bytes. Skipped are the
# cookie, the queues, and the attributes that follow unasked.
_PORTS = ">20xHH64x"
_IPV4 = "=16x4s4x4s12x4s12x4x8xI8xII"
_IPV6 = "=16x4s4x16s16s4x8xI8xII"
_MIXED = "=16x4s4x16s16sI8xI8xII"
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
    same = len(set(families)) == 1
    layout = (
        _IPV4
        if same and families[0] == _AF_INET
        else _IPV6
        if same and LINK_LOCAL not in messages
        else _MIXED
    )
    try:
        ports = _struct(_PORTS, length).iter_unpack(messages)
        rows = _struct(layout, length).iter_unpack(messages)
    except StructError:
        raise SocketError(errno.EBADMSG, "the kernel's record of a socket was cut short; try again") from None
    if layout is not _MIXED:
        return list(map(add, ports, rows))
    return [
        (*both, shape, *_ends(shape[0], source, peer, link), expires, uid, inode)
        for both, (shape, source, peer, link, expires, uid, inode) in zip(ports, rows, strict=True)
    ]


def _ends(family: int, source: bytes, peer: bytes, link: int) -> tuple[bytes, bytes]:
    if family == _AF_INET:
        return source[:4], peer[:4]
    return with_interface(source, link), with_interface(peer, link)


_structs: dict[tuple[str, int], Struct] = {}


def _struct(layout: str, length: int) -> Struct:
    """Return the decoder for messages of *length* bytes; a dump has one or two lengths."""
    key = layout, length
    if key not in _structs:
        _structs[key] = Struct(f"{layout}{length - _FIXED}x")
    return _structs[key]
