"""Addresses as people write them, and what a name stands for."""

from __future__ import annotations

import re
import socket

from keptalive.errors import BadInput


def parse_address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, an IPv6 address in brackets. Raises BadInput."""
    found = re.fullmatch(r"(?:\[([^\[\]\s]+)\]|([^\[\]:/\s]+)):([0-9]{1,5})", text, re.ASCII)
    if found is None or int(found[3]) > 65535:
        raise BadInput(f"{text!r} is not HOST:PORT, with an IPv6 address in brackets: [::1]:8080")
    return found[1] or found[2], int(found[3])


def on_loopback(host: str) -> bool:
    """Tell whether a numeric address is one of this machine's loopback: 127.0.0.0/8 or ::1."""
    return host.startswith("127.") or host == "::1"


def resolve(host: str, port: int) -> list[tuple[str, int]]:
    """Return the numeric addresses of a host with *port*, in the order to try. Raises BadInput."""
    if not 0 < port < 65536:
        raise BadInput(f"{port} is not a port to relay to: they go from 1 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it cannot be a name"
        raise BadInput(f"there is no host {host!r} ({reason})") from error
    return [(str(sockaddr[0]), int(sockaddr[1])) for *_, sockaddr in found]
