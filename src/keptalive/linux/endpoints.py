"""The ends of a connection: as the kernel records them, and as people write them.

Rule: both directions in one place. A recorded address has 4 bytes (IPv4), 16 (IPv6), or
20: a link-local one, which means nothing without its interface's index (RFC 4007).
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from sys import byteorder

from keptalive.errors import BadInput

LINK_LOCAL = b"\xfe\x80"  # fe80::/64; the rest of fe80::/10 is reserved (RFC 4291, 2.5.6)
_MAPPED = bytes(10) + b"\xff\xff"  # before an IPv4 address in an IPv6 socket (RFC 4291, 2.5.5.2)


def address_text(recorded: bytes) -> str:
    """Return an address as it stands before ":PORT": IPv6 in brackets, with its interface if it needs one."""
    if len(recorded) == 4:
        return _socket.inet_ntop(_socket.AF_INET, recorded)
    text = _socket.inet_ntop(_socket.AF_INET6, recorded[:16])
    if len(recorded) == 16:
        return f"[{text}]"
    return f"[{text}%{_interface(int.from_bytes(recorded[16:], byteorder))}]"


def with_interface(recorded: bytes, index: int) -> bytes:
    """Return an IPv6 address with the index of its interface, if it is link-local."""
    if index and recorded.startswith(LINK_LOCAL):
        return recorded + index.to_bytes(4, byteorder)
    return recorded


def matcher(written: str) -> Callable[[bytes, int], bool]:
    """Return a test for recorded (address, port) against "HOST", "HOST:PORT", ":PORT" or "[IPV6]:PORT".

    A name stands for all its addresses. Raises BadInput if it cannot be resolved.
    """
    if not written.strip(":"):
        raise BadInput(f"{written!r} is not HOST, HOST:PORT or :PORT")
    from socket import SOCK_STREAM, getaddrinfo, inet_pton  # 8 ms that only this question should cost

    host, port = _host_and_port(written)
    if port.isdecimal() and int(port) > 65535:  # which getaddrinfo() would cut down
        raise BadInput(f"cannot tell what {written!r} is: ports end at 65535")
    try:
        found = getaddrinfo(host or None, port or None, type=SOCK_STREAM)
    except OSError as error:
        raise BadInput(f"cannot tell what {written!r} is: {error.strerror}") from error
    hosts = {inet_pton(family, str(end[0]).partition("%")[0]) for family, _, _, _, end in found}
    hosts |= {_MAPPED + address for address in hosts if len(address) == 4}
    ports = {int(end[1]) for *_, end in found}
    return lambda address, number: (not host or address[:16] in hosts) and (not port or number in ports)


def _host_and_port(written: str) -> tuple[str, str]:
    if written.startswith("["):
        host, _, port = written[1:].partition("]")
        return host, port.removeprefix(":")
    if written.count(":") > 1:
        return written, ""
    host, _, port = written.partition(":")
    return host, port


def _interface(index: int) -> str:
    """Return the name of an interface of this namespace; its index, which RFC 4007 allows too, elsewhere."""
    try:
        return _socket.if_indextoname(index)
    except OSError:
        return str(index)
