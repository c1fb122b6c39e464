"""What the engines with network namespaces share: reaching into these, and ending what lives there.

Rule: the caller's process joins nothing; sockets come to it from the helper that holds the namespaces,
commands join on their own.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Sequence
from typing import Any, ClassVar

from keptalive.errors import LabError
from keptalive.lab import networks
from keptalive.lab.control import PYTHON, SOURCE, Helper
from keptalive.lab.faults import Faults
from keptalive.lab.interface import Lab
from keptalive.linux import namespaces

_PORT, _TLS_PORT = 8080, 8443
_TRIAL = 5.0  # s for a connection that takes a millisecond
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time

_JOIN = (
    "import sys; sys.path.append(sys.argv[1]);"
    "from keptalive.lab.join import main;"
    "main(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if sys.argv[4] else None, sys.argv[5:])"
)


class NamespacedLab(Lab):
    """A lab in namespaces; raises LabError, with the reason, where they cannot be had."""

    host, port = networks.SERVER, _PORT
    #: The module of the process that holds the namespaces and is the firewall.
    _module: ClassVar[str]

    def __init__(self, faults: Faults) -> None:
        refusal = faults.refusal(self.engine)
        if refusal:
            raise LabError(refusal)
        self._holder = Helper(self._module)
        self._networks: dict[str, int] = {}
        self._unswept: int | None = None
        self._user: int | None = None
        super().__init__()
        try:
            self._build(faults)
        except BaseException:
            self.close()
            raise

    def _build(self, faults: Faults) -> None:
        reply = self._holder.ask("build", faults=str(faults), spare=self._server.pid)
        self._networks["client"], self._networks["server"], self._unswept, *user = reply["descriptors"]
        self._user = user[0] if user else None
        self.engine_reason = reply["reason"]
        self.host6 = networks.SERVER6 if reply["ipv6"] else None
        self._server.ask("listen", [self._networks["server"], *user], hosts=self._hosts, port=_PORT)
        for family, host in zip((socket.AF_INET, socket.AF_INET6), self._hosts, strict=False):
            self._try(family, host)

    def _try(self, family: int, host: str) -> None:
        """Connect once, and end it by an RST, after which nothing more comes."""
        with self.client_socket(family) as trial:
            trial.settimeout(_TRIAL)
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            try:
                trial.connect((host, self.port))
            except OSError as error:
                raise LabError(f"packets do not pass the firewall's namespace ({error})") from error

    @property
    def _hosts(self) -> list[str]:
        return [self.host] if self.host6 is None else [self.host, self.host6]

    def _open_tls(self) -> tuple[int, str]:
        names = [*self._hosts, "localhost"]
        reply = self._server.ask("tls", hosts=self._hosts, port=_TLS_PORT, names=names)
        return reply["port"], reply["ca_file"]

    def reach(self, port: int) -> tuple[str, int]:
        """Return the server's address and *port* itself."""
        return self.host, port

    def client_socket(self, family: int = socket.AF_INET) -> socket.socket:
        """Return an unconnected TCP socket that lives in the client's namespace."""
        (descriptor,) = self._holder.ask("socket", family=family)["descriptors"]
        return socket.socket(fileno=descriptor)

    def set_sysctl(self, side: str, name: str, value: int) -> None:
        """Set a sysctl below net, like "ipv4/tcp_retries2", for one end only: "client" or "server".

        Raises LabError if this kernel has no such sysctl, or not for each network namespace.
        """
        self._holder.ask("sysctl", side=side, name=name, value=value)

    def expire_now(self) -> None:
        """Have the firewall forget every flow, now."""
        self._holder.ask("expire")

    def _popen_in(self, side: str, argv: Sequence[str], options: dict[str, Any]) -> subprocess.Popen[Any]:
        words = [argv] if isinstance(argv, str) else argv
        if options.pop("shell", False):
            words = ["/bin/sh", "-c", *words]
        descriptors = (self._unswept, self._networks[side], self._user)
        where = ["" if descriptor is None else str(descriptor) for descriptor in descriptors]
        options["pass_fds"] = [*options.get("pass_fds", ()), *(int(one) for one in where if one)]
        return subprocess.Popen([*PYTHON, _JOIN, SOURCE, *where, *words], **options)

    def close(self) -> None:
        """End everything: commands, slow server, namespaces. Does nothing the second time."""
        super().close()
        self._holder.close()
        # The holder has done this, unless it was killed: what a command has started may live in there.
        namespaces.kill_processes_in([namespaces.inode(network) for network in self._networks.values()])
        for descriptor in (*self._networks.values(), self._unswept, self._user):
            if descriptor is not None:
                os.close(descriptor)
        self._networks, self._unswept, self._user = {}, None, None
