"""What every lab offers, whatever engine runs it.

Rule: programs and tests use a Lab by these names only; an engine fills in how its two sides are
reached, and the rest (the slow server, commands, TLS) is the same for all and lives here.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from keptalive.lab.control import Helper
from keptalive.lab.event import LabEvent


class Lab(ABC):
    """A slow server behind a firewall that misbehaves. Close it, or use it as a context manager.

    It may be used from several threads. Everything ends with the process that opened it.
    """

    #: "kernel", "packet" or "relay".
    engine: str
    #: One sentence: why this engine.
    engine_reason: str
    #: Where the client's side reaches the slow server.
    host: str
    port: int
    #: The same over IPv6; None where this machine has none.
    host6: str | None

    def __init__(self) -> None:
        self._server = Helper("keptalive.lab.slow_server")
        self._commands: list[subprocess.Popen[Any]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """URL of the slow server, without a trailing slash."""
        return f"http://{self.host}:{self.port}"

    @property
    def url6(self) -> str | None:
        """The same over IPv6; None where this machine has none."""
        return self.host6 and f"http://[{self.host6}]:{self.port}"

    @property
    def tls_port(self) -> int:
        """Port of the slow server with TLS; raises LabError where the package trustme is missing."""
        return self._tls[0]

    @property
    def tls_url(self) -> str:
        """URL of the slow server with TLS, without a trailing slash; raises LabError like `tls_port`."""
        return f"https://{self.host}:{self.tls_port}"

    @property
    def ca_file(self) -> str:
        """Path of the certificate of the lab's own CA; raises LabError like `tls_port`."""
        return self._tls[1]

    @cached_property
    def _tls(self) -> tuple[int, str]:
        with self._lock:
            return self._open_tls()

    @abstractmethod
    def _open_tls(self) -> tuple[int, str]:
        """Have the slow server listen with TLS; return the port, as the client sees it, and the CA's file."""

    @abstractmethod
    def reach(self, port: int) -> tuple[str, int]:
        """Return the address by which the client's side reaches *port* of the server's side.

        The way there leads through the firewall. Who listens there listens on all addresses ("0.0.0.0").
        Raises LabError if the lab is broken.
        """

    @abstractmethod
    def client_socket(self, family: int = socket.AF_INET) -> socket.socket:
        """Return an unconnected TCP socket on the client's side."""

    @abstractmethod
    def expire_now(self) -> None:
        """Make the firewall forget every flow, now."""

    @property
    @abstractmethod
    def events(self) -> list[LabEvent]:
        """What the firewall did so far; the kernel engine keeps no record."""

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command on the client's side, as the caller's user; options as for subprocess.Popen.

        Its environment names the slow server in KEPTALIVE_LAB_URL. It is killed when the lab closes;
        what it has started itself is killed in the kernel engine, where the namespaces tell.
        """
        return self._start("client", argv, options)

    def popen_server(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command on the server's side, otherwise like `popen`."""
        return self._start("server", argv, options)

    def _start(self, side: str, argv: Sequence[str], options: dict[str, Any]) -> subprocess.Popen[Any]:
        environment = os.environ if options.get("env") is None else options["env"]
        options["env"] = {**environment, "KEPTALIVE_LAB_URL": self.url}
        command = self._popen_in(side, argv, options)
        with self._lock:
            self._commands = [running for running in self._commands if running.poll() is None]
            self._commands.append(command)
        return command

    @abstractmethod
    def _popen_in(self, side: str, argv: Sequence[str], options: dict[str, Any]) -> subprocess.Popen[Any]:
        """Start a command on that side."""

    def count(self, key: str) -> dict[str, int]:
        """Return how many requests the slow server got with ?key=KEY, by method."""
        counts: dict[str, int] = self._server.ask("count", key=key)["count"]
        return counts

    def close(self) -> None:
        """End everything: commands, slow server, firewall. Does nothing the second time."""
        for command in self._commands:
            command.kill()
            command.wait()
        self._server.close()
        if "_tls" in self.__dict__:
            # The server has removed its certificates, unless it was killed.
            shutil.rmtree(Path(self.ca_file).parent, ignore_errors=True)

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
