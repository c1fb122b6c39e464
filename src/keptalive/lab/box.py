"""A misbehaving firewall for one test: a port on loopback, with a server of yours behind it, or a slow one.

Rule: the client stays in the process that it is in, so the engine is the relay, and what the relay cannot do
is refused. Everything ends with the box, or with the process that opened it.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from keptalive.lab.control import Helper
from keptalive.lab.event import LabEvent
from keptalive.lab.faults import Faults, parse
from keptalive.lab.relay_handle import RelayHandle
from keptalive.lab.upstream import parse_address, resolve
from keptalive.sockets import format_address

_LOOPBACK = "127.0.0.1"


class Box:
    """What stands between a client and a server. Close it, or use it as a context manager.

    It may be used from several threads, and from coroutines: no call waits for more than its own process.
    """

    #: Where clients connect.
    host: str
    port: int

    def __init__(self, host: str, port: int, relay: RelayHandle, parts: ExitStack) -> None:
        """open_box() makes one; *parts* end with it."""
        self.host, self.port = host, port
        self._relay, self._parts = relay, parts

    def __repr__(self) -> str:
        """What goes wrong, and where clients connect."""
        return f"<Box {self._relay.faults} at {format_address((self.host, self.port))}>"

    @property
    def url(self) -> str:
        """URL of the box, without a trailing slash; without *to*, {url}/sleep/N answers after N seconds."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def events(self) -> list[LabEvent]:
        """What the box did so far: which connections expired, when and why; RSTs and FINs of its own."""
        return self._relay.events()

    def expire_now(self) -> None:
        """Do to every open connection, now, what the box does to one that was idle for too long."""
        self._relay.expire()

    def close(self) -> None:
        """End it: connections are reset. Does nothing the second time."""
        self._parts.close()

    def __enter__(self) -> Box:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_box(
    fault: str | Faults = "idle-drop:2",
    to: tuple[str, int] | str | None = None,
    *,
    speed: float = 1.0,
    listen: str = _LOOPBACK,
) -> Box:
    """Open a box with this fault, or with several, commas between them, in front of a server.

    *fault* may be a preset's name; *speed* divides its times. *to* is the host and port of the server, or
    "HOST:PORT"; without it, a slow one is served. *listen* is the numeric address of this machine where the
    box listens.
    Raises LabError if the fault is unknown, or one that needs another engine; BadInput if there is no such
    host.
    """
    wanted = (parse(fault) if isinstance(fault, str) else fault).scaled(speed)
    upstream = [] if to is None else resolve(*(parse_address(to) if isinstance(to, str) else to))
    with ExitStack() as parts:
        # Both processes start at once: what they import is most of the wait.
        server = Helper("keptalive.lab.slow_server") if to is None else None
        if server is not None:
            parts.callback(server.close)
        relay = RelayHandle(wanted)
        parts.callback(relay.close)  # first: its RSTs end what the slow server would otherwise go on sending
        if server is not None:
            upstream = [(_LOOPBACK, server.ask("listen", hosts=[_LOOPBACK], port=0)["port"])]
        return Box(listen, relay.open([listen], upstream), relay, parts.pop_all())
