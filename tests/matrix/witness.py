"""A witness that does not rely on keptalive: this process's TCP sockets as the kernel has them.

Rule: look at descriptors, not at objects. Each socket in /proc/self/fd is duplicated, asked, and let go;
whatever library it belongs to, by whatever road it was opened.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# By number where an old Python has no name (linux/in.h, linux/tcp.h).
IP_MINTTL = 21
TCP_STATE_ESTABLISHED = 1

OPTIONS = {
    "enabled": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "count": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
}


@contextmanager
def established(host: str) -> Iterator[list[tuple[int, socket.socket]]]:
    """Yield (port, duplicate) of each established connection to *host*."""
    found: list[tuple[int, socket.socket]] = []
    try:
        seen: set[str] = set()
        for entry in list(Path("/proc/self/fd").iterdir()):
            sock = _duplicate(entry, seen)
            if sock is None:
                continue
            port = _port_at(sock, host)
            if port is None:
                sock.close()
            else:
                found.append((port, sock))
        yield found
    finally:
        for _, sock in found:
            sock.close()


def options(sock: socket.socket) -> dict[str, int]:
    """Return what the kernel holds for a socket."""
    return {name: sock.getsockopt(*option) for name, option in OPTIONS.items()}


def wanted(policy: str) -> dict[str, int]:
    """Return what the kernel is to hold for a policy like "60:15:9"; of a user timeout behind it nothing."""
    idle, interval, count = map(int, policy.split(":")[:3])
    return {"enabled": 1, "idle": idle, "interval": interval, "count": count}


def set_options(sock: socket.socket, policy: str) -> None:
    """Set a policy by plain setsockopt calls."""
    for name, value in wanted(policy).items():
        sock.setsockopt(*OPTIONS[name], value)
    for user_timeout in policy.split(":")[3:]:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * float(user_timeout)))


def cut(sock: socket.socket) -> None:
    """Let the path die: nothing that arrives for this socket from now on is near enough (ip(7))."""
    sock.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)


def _duplicate(entry: Path, seen: set[str]) -> socket.socket | None:
    """Return a duplicate of the socket behind a descriptor; None if it is none, or was seen already."""
    try:
        name = str(entry.readlink())
        if not name.startswith("socket:") or name in seen:
            return None
        seen.add(name)
        return socket.socket(fileno=os.dup(int(entry.name)))
    except OSError:
        return None  # closed meanwhile


def _port_at(sock: socket.socket, host: str) -> int | None:
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
            return None
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_STATE_ESTABLISHED:
            return None
        address, port = sock.getpeername()[:2]
    except OSError:
        return None
    address = address.removeprefix("::ffff:")  # IPv4 over a socket that speaks both, as gRPC's do
    return port if address == host else None
