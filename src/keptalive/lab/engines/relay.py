"""Engine relay: a process on loopback that forwards, counts segments and plays dead. Needs no rights.

Rule: the same faults as the kernel engine as seen from the client; keptalive.lab.relay tells what differs.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from keptalive.errors import LabError
from keptalive.lab.event import LabEvent
from keptalive.lab.faults import Faults
from keptalive.lab.interface import Lab
from keptalive.lab.relay_handle import RelayHandle

_LOOPBACK, _LOOPBACK6 = "127.0.0.1", "::1"


class RelayLab(Lab):
    """A lab on loopback; raises LabError, with the reason, where it cannot be had."""

    engine = "relay"
    engine_reason = "a relay on loopback"
    host = _LOOPBACK

    def __init__(self, faults: Faults) -> None:
        self._relay = RelayHandle(faults)
        super().__init__()
        self.host6 = _LOOPBACK6 if _has_ipv6() else None
        self._reached: dict[int, int] = {}  # a port of the server's side -> the relay's port for it
        try:
            self.port = self._open(self._server.ask("listen", hosts=[_LOOPBACK], port=0)["port"])
        except BaseException:
            self.close()
            raise

    def _open(self, port: int) -> int:
        hosts = [self.host] if self.host6 is None else [self.host, self.host6]
        return self._relay.open(hosts, [(_LOOPBACK, port)])

    def _open_tls(self) -> tuple[int, str]:
        names = [_LOOPBACK, _LOOPBACK6, "localhost"]
        reply = self._server.ask("tls", hosts=[_LOOPBACK], port=0, names=names)
        return self._open(reply["port"]), reply["ca_file"]

    def reach(self, port: int) -> tuple[str, int]:
        """Open a relayed port for TCP port *port* of 127.0.0.1, once, and return its address."""
        with self._lock:
            if port not in self._reached:
                self._reached[port] = self._open(port)
            return self.host, self._reached[port]

    def client_socket(self, family: int = socket.AF_INET) -> socket.socket:
        """Return an unconnected TCP socket: here every one is on the client's side."""
        return socket.socket(family, socket.SOCK_STREAM)

    def expire_now(self) -> None:
        """End every relayed connection as if it had been idle for too long."""
        self._relay.expire()

    @property
    def events(self) -> list[LabEvent]:
        """Which connections were forgotten so far, when and why."""
        return self._relay.events()

    def _popen_in(self, side: str, argv: Sequence[str], options: dict[str, Any]) -> subprocess.Popen[Any]:
        command: subprocess.Popen[Any] = subprocess.Popen(argv, **options)
        handle = os.pidfd_open(command.pid)
        try:
            self._relay.adopt(handle)
        except LabError:
            command.kill()
            command.wait()
            raise
        finally:
            os.close(handle)
        return command

    def close(self) -> None:
        """End everything: relay, commands, slow server. Does nothing the second time."""
        # The relay first: its RSTs end what the slow server would otherwise go on sending.
        self._relay.close()
        super().close()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind((_LOOPBACK6, 0))
    except OSError:
        return False
    return True
