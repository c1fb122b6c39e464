"""The ends of a connection: as the kernel records them, and as people write them.

Rule: both directions in one place. A recorded address has 4 bytes (IPv4), 16 (IPv6), or
20: a link-local one, which means nothing without its interface's index (RFC 4007).
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from sys import byteorder

from keptalive.errors import BadInput

_LOOPBACK = bytes(15) + b"\x01"  # ::1
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


def is_loopback(recorded: bytes) -> bool:
    """Tell whether an address is of this machine's loopback: 127.0.0.0/8 or ::1."""
    address = as_ipv4(recorded)
    return address[0] == 127 if len(address) == 4 else address == _LOOPBACK


def as_ipv4(recorded: bytes) -> bytes:
    """Return an IPv4 address in an IPv6 socket as an IPv4 socket records it; others as they are."""
    return recorded[len(_MAPPED) :] if recorded.startswith(_MAPPED) else recorded


def matcher(written: str) -> Callable[[bytes, int], bool]:
    """Return a test for recorded (address, port) against "HOST", "HOST:PORT", ":PORT" or "[IPV6]:PORT".

    A name stands for all its addresses. Raises BadInput if it cannot be resolved.
    """
    host, port_text = _host_and_port(written)
    port = None if port_text is None else _port(port_text)
    hosts = _addresses(host) if host else frozenset()
    return lambda address, number: (not host or address[:16] in hosts) and port in (None, number)


def _host_and_port(written: str) -> tuple[str, str | None]:
    """Return what is written for the host ("" for any) and the port (None for any). Raises BadInput."""
    if not written.strip(":"):
        raise BadInput(f"{written!r} is not HOST, HOST:PORT or :PORT")
    if "/" in written:
        raise BadInput(
            f"{written!r} is not HOST, HOST:PORT or :PORT: leave out the scheme, the path and the length"
        )
    if written.isascii() and written.isdigit():
        # inet_aton(3) would take it for an address, and nothing be found there.
        meant = f": did you mean :{written}?" if _is_a_port(written) else ""
        raise BadInput(f"{written!r} is not the name or address of a host{meant}")
    if written.startswith("["):
        host, end, rest = written[1:].partition("]")
        if not end or not host or (rest and rest[0] != ":"):
            raise BadInput(f"{written!r} is not the name or address of a host: write [::1] or [::1]:443")
        return host, rest[1:] if rest else None
    if written.count(":") != 1:
        return written, None
    host, _, port = written.partition(":")
    return host, port


def _port(written: str) -> int:
    """Return the port that a number, or the name of a service, stands for. Raises BadInput."""
    if written.isascii() and written.isdigit():
        if not _is_a_port(written):
            raise BadInput(f"{written} is not a port: they go from 1 to 65535")
        return int(written)
    try:
        return _socket.getservbyname(written, "tcp")
    except (OSError, ValueError):  # there is no such name, or no name could be like that
        raise BadInput(f"{written!r} is not a port: it is a number from 1 to 65535") from None


def _is_a_port(digits: str) -> bool:
    return len(digits) < 6 and 0 < int(digits) < 65536  # int() itself refuses thousands of digits


def _addresses(host: str) -> frozenset[bytes]:
    """Return the addresses of a host as they may be recorded. Raises BadInput if there is no such host."""
    from socket import SOCK_STREAM, gaierror, getaddrinfo, inet_pton  # 8 ms that only this should cost

    try:
        found = getaddrinfo(host, None, type=SOCK_STREAM)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, gaierror) else "it cannot be a name"
        raise BadInput(f"there is no host {host!r} ({reason})") from error
    hosts = {inet_pton(family, str(end[0]).partition("%")[0]) for family, _, _, _, end in found}
    return frozenset(hosts | {_MAPPED + address for address in hosts if len(address) == 4})


def _interface(index: int) -> str:
    """Return the name of an interface of this namespace; its index, which RFC 4007 allows too, elsewhere."""
    try:
        return _socket.if_indextoname(index)
    except OSError:
        return str(index)
