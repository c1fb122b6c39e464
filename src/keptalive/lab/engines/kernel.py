"""Engine kernel: three network namespaces and the kernel's own connection tracking. The reference.

Rule: the caller's process joins nothing; sockets come to it from the holder, commands join on their own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keptalive.errors import LabError
from keptalive.lab import holder
from keptalive.lab.control import Helper
from keptalive.lab.faults import Fault
from keptalive.lab.interface import Lab, LabEvent

_PORT, _TLS_PORT = 8080, 8443

_JOIN = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from keptalive.lab.join import main;"
    "main(int(sys.argv[2]), int(sys.argv[3]) if sys.argv[3] else None, sys.argv[4:])"
)


class KernelLab(Lab):
    """A lab in namespaces; raises LabError, with the reason, where they cannot be had."""

    engine = "kernel"
    host, port = holder.SERVER, _PORT

    def __init__(self, fault: Fault) -> None:
        refusal = fault.refusal(self.engine)
        if refusal:
            raise LabError(refusal)
        super().__init__()
        self._holder = Helper("keptalive.lab.holder")
        self._client, self._server_side, self._user = -1, -1, -1
        try:
            self._build(fault)
        except BaseException:
            self.close()
            raise

    def _build(self, fault: Fault) -> None:
        reply, descriptors = self._holder.ask_for_descriptors("build", idle_drop=fault.seconds)
        self._client, self._server_side, *user = descriptors
        self._user = user[0] if user else -1
        self.engine_reason = reply["reason"]
        self.host6 = holder.SERVER6 if reply["ipv6"] else None
        self._server.ask("listen", [self._server_side, *user], hosts=self._hosts, port=_PORT)
        for family, host in zip((socket.AF_INET, socket.AF_INET6), self._hosts, strict=False):
            with self.client_socket(family) as trial:
                trial.settimeout(5)
                try:
                    trial.connect((host, _PORT))
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
        return self.host, port

    def client_socket(self, family: int = socket.AF_INET) -> socket.socket:
        _, (descriptor,) = self._holder.ask_for_descriptors("socket", family=family)
        return socket.socket(fileno=descriptor)

    def expire_now(self) -> None:
        self._holder.ask("expire")

    @property
    def events(self) -> list[LabEvent]:
        return []

    def _popen_in(self, side: str, argv: Sequence[str], options: dict[str, Any]) -> subprocess.Popen[Any]:
        network = self._client if side == "client" else self._server_side
        if options.pop("shell", False):
            argv = ["/bin/sh", "-c", *([argv] if isinstance(argv, str) else argv)]
        joined = [network] if self._user < 0 else [network, self._user]
        options["pass_fds"] = [*options.get("pass_fds", ()), *joined]
        source = str(Path(__file__).parents[3])
        user = "" if self._user < 0 else str(self._user)
        # -I and -S: the start needs nothing of the caller's Python set-up, and is twice as fast without.
        launcher = [sys.executable, "-I", "-S", "-c", _JOIN, source, str(network), user]
        return subprocess.Popen([*launcher, *argv], **options)

    def close(self) -> None:
        super().close()
        self._holder.close()
        for descriptor in (self._client, self._server_side, self._user):
            if descriptor >= 0:
                os.close(descriptor)
        self._client = self._server_side = self._user = -1
