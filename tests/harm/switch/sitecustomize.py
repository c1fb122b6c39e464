"""Run by each Python of the comparison at its start, those that tests start included.

Rule: KEPTALIVE_HARM says what is on from the first line. "plain" is nothing, so that runs differ by the
switch alone and not by this file; nor is "run", where `keptalive run` sees to it. Where the switch is
on, every process says at its end how many of its connections the kernel held with keepalive on: a
comparison in which nothing was switched on would prove nothing.
"""

# No pathlib: it would be loaded in every process, plain ones included.
# ruff: noqa: PTH118, PTH120, PTH123

from __future__ import annotations

import os
import sys

_SOURCE = os.path.join(os.path.dirname(__file__), *[os.pardir] * 3, "src")


# What install() is given: nothing, as most will do; or what takes other ways through its code.
_WAYS = {
    "install": lambda keptalive: keptalive.install(),
    "exact": lambda keptalive: keptalive.install(keptalive.Policy(20, 10, 3)),
    "scoped": lambda keptalive: keptalive.install(networks="127.0.0.0/8", ports=range(1, 65536)),
}


def _install(what: str, witness: str) -> None:
    import atexit

    sys.path.append(_SOURCE)
    import keptalive
    from keptalive.process_wide import ruling
    from keptalive.sockets import SocketType, is_tcp

    sys.path.remove(_SOURCE)
    counted, pid = 0, os.getpid()
    connecting = ruling.Rule.connecting

    def counting(self, sock, address):
        nonlocal counted
        result = connecting(self, sock, address)
        if isinstance(sock, SocketType) and sock.fileno() != -1 and is_tcp(sock):
            counted += bool(sock.getsockopt(1, 9))  # SOL_SOCKET, SO_KEEPALIVE of Linux
        return result

    def tell():
        if os.getpid() == pid:  # a child of fork() goes on with its parent's count
            with open(os.path.join(witness, str(pid)), "w") as file:
                file.write(str(counted))

    ruling.Rule.connecting = counting
    atexit.register(tell)
    _WAYS[what](keptalive)


def _break() -> None:
    """Do harm, so that the comparison can be seen to find it."""
    import socket

    original = socket.socket.connect

    def connect(self, address):
        original(self, address)
        self.settimeout(None)

    socket.socket.connect = connect


_what, _, _witness = os.environ.get("KEPTALIVE_HARM", "").partition(" ")
if _what in _WAYS:
    _install(_what, _witness)
elif _what == "break":
    _break()
