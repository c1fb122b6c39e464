"""What a driver is, and how its coroutines are run.

Rule: every driver's methods are coroutines, those of blocking clients just never wait. So the story of a
cell is told once, in `child`, and each client runs it in its own way.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from matrix.cells import MATRIX, RETRY_AFTER, SCENARIOS, Cell, Scenario, Target
from matrix.server import ANSWER

Story = Callable[[], Coroutine[Any, Any, str]]


def blocking(story: Story) -> str:
    """Run the coroutine of a client that blocks: it must end without ever waiting."""
    try:
        story().send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a blocking client's driver awaited something")


def on_asyncio(story: Story) -> str:
    return asyncio.run(story())


def on_trio(story: Story) -> str:
    import trio

    return trio.run(story)


def on_uvloop(story: Story) -> str:
    import uvloop

    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(story())
    finally:
        loop.close()


class Driver:
    """Drives one client through one cell. Subclasses say what their client has."""

    #: The libraries that must be there, and what its SOCKS needs besides.
    needs: ClassVar[tuple[str, ...]] = ()
    socks_needs: ClassVar[tuple[str, ...]] = ()
    run: ClassVar[Callable[[Story], str]] = staticmethod(blocking)
    #: What it talks to, a kind of the server's.
    server: ClassVar[str] = "http"
    #: What the server's answer says of itself, beside its length.
    answer_headers: ClassVar[str] = "Content-Type: application/json"
    #: Which scenarios of the matrix the client has; of two at once it must have both.
    matrix: ClassVar[tuple[str, ...]] = tuple(MATRIX)
    #: What its retry answers to, a key of RETRY_AFTER.
    retries_after: ClassVar[str] = "503"
    #: How many POSTs a retry setting of one makes of a POST whose connection died; None: no such setting.
    posts_with_a_retry: ClassVar[int | None] = None
    #: How often it sends again, unasked, what it sent on a connection that had served before and then died.
    resends_if_reused: ClassVar[int] = 0
    #: Whether it has a time-out of its own, for the whole request or for each read.
    has_limit: ClassVar[bool] = False
    #: How the bodies that it reads may be delimited.
    bodies: ClassVar[tuple[str, ...]] = ("close", "goodbye", "length", "chunked")

    @classmethod
    def scenarios(cls) -> list[str]:
        """Return the scenarios of the matrix that this client can be in."""
        return [name for name in MATRIX if set(name.split("+")) <= set(cls.matrix)]

    @classmethod
    def missing(cls, scenario: str) -> list[str]:
        """Return the libraries that a scenario needs and that are not installed."""
        needs = cls.needs + (cls.socks_needs if scenario == "socks" else ())
        return [library for library in needs if not _is_installed(library)]

    @classmethod
    def scenario(cls, name: str) -> Scenario:
        """Return a scenario as this client has it."""
        return RETRY_AFTER[cls.retries_after] if name == "retry" else SCENARIOS[name]

    @classmethod
    def answer(cls) -> str:
        """Return what the server answers with, each character a byte."""
        return ANSWER

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.method = cell.scenario.method

    async def open(self) -> Target:
        """Return what hold() takes."""
        raise NotImplementedError

    async def fetch(self, target: Target) -> str:
        """Ask once; return the whole answer."""
        raise NotImplementedError

    def to_hold(self, target: Target) -> list[Any]:
        """Return what of it hold() is to be given."""
        return [target]

    async def close(self, target: Target) -> None:
        """Close what was opened."""
        target.close()

    def request_head(self) -> bytes:
        """Return a request written by hand, for drivers of bare connections."""
        return (f"{self.method} / HTTP/1.1\r\nHost: {self.cell.host}\r\nContent-Length: 0\r\n\r\n").encode()


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:
        return False  # not even the package that it would be in


def answer_within(message: bytes) -> str | None:
    """Return the body of a response with Content-Length as soon as all of it is there."""
    head, found, body = message.partition(b"\r\n\r\n")
    if not found:
        return None
    for line in head.decode("latin-1").lower().split("\r\n"):
        name, _, value = line.partition(":")
        if name == "content-length":
            return body.decode() if len(body) >= int(value) else None
    return None


class Sdk(Driver):
    """Drives something that people hang with, in the ways in which it can be protected."""

    #: "held", "installed", its "own" parameters, "run" (keptalive run); and "switch", if it has one that
    #: turns keepalive on with figures that nobody asked for.
    ways: ClassVar[tuple[str, ...]] = ("held", "installed")
    #: What its sockets have if nobody does anything, and with its switch: a policy, or "" for off.
    by_itself: ClassVar[str] = ""
    switch: ClassVar[str] = ""
    #: Whether its own parameters make the kernel send probes.
    own_probes: ClassVar[bool] = True
    #: Variables by which alone its own parameters can be set, in a process of their own.
    environment: ClassVar[dict[str, str]] = {}

    @classmethod
    def in_a_process_of_its_own(cls) -> tuple[str, ...]:
        """Return the ways in which a whole process is protected, so that nothing else can go on in it."""
        return ("run", "own") if cls.environment else ("run",)
