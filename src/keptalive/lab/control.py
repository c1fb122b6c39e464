"""How the lab's processes are started, and how they are spoken to.

Rule: a helper process lives as long as the socket it was given. It ends when the other end
closes, and the kernel closes that one however its owner dies; so no helper outlives its lab.
A message is one JSON object in one packet, descriptors beside it; each request gets one reply.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from keptalive.errors import LabError

_LARGEST = 128 * 1024  # below net.core.wmem_default, the limit of one packet on a Unix socket
_MOST_DESCRIPTORS = 16
_PATIENCE = 20.0  # s a reply may take: a machine under heavy load, not a hung helper

# The child looks for modules where its parent found them, and runs main(channel) of the module named.
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
    "from importlib import import_module as load;"
    "load('keptalive.lab.control').run(load(sys.argv[2]).main, *map(int, sys.argv[3:]))"
)

#: What a helper does for one request: takes the arguments and the descriptors, returns the same two.
Handler = Callable[[dict[str, Any], list[int]], tuple[dict[str, Any], Sequence[int]]]


class Channel:
    """One end of a control socket."""

    def __init__(self, sock: socket.socket, owner: int | None = None) -> None:
        self.socket = sock
        self.owner = owner  # in a helper: a pidfd of the process that started it

    def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one message; raises OSError (EPIPE, ECONNRESET) if the other end is gone."""
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.socket.sendmsg([json.dumps(message).encode()], beside, socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Wait for a message; None when the other end is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, _LARGEST, _MOST_DESCRIPTORS)
        except ConnectionResetError:
            return None
        if not data:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return json.loads(data), descriptors

    def answer(self, handlers: Mapping[str, Handler]) -> bool:
        """Answer one request; False when the other end is gone."""
        request = self.receive()
        if request is None:
            return False
        message, descriptors = request
        try:
            reply, beside = handlers[message.pop("do")](message, descriptors)
        except (OSError, LabError) as error:
            reply, beside = {"error": str(error)}, ()
        try:
            self.send(reply, beside)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


class Helper:
    """A process of the lab, seen from the process that started it."""

    def __init__(self, module: str) -> None:
        """Start `main(channel)` of *module* in a process of its own; returns before it is ready."""
        self._what = module.rpartition(".")[2].replace("_", " ")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_PATIENCE)
        self._channel = Channel(ours)
        self._lock = threading.Lock()
        path = json.dumps([entry or os.getcwd() for entry in sys.path])  # noqa: PTH109  # a str for JSON
        argv = [sys.executable, "-c", _START, path, module, str(theirs.fileno()), str(os.getpid())]
        with theirs:
            # A session of its own: Ctrl-C is for the programs in the lab; the lab ends with its owner.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, do: str, descriptors: Sequence[int] = (), **arguments: Any) -> dict[str, Any]:
        """Send a request and return the reply; raises LabError with the helper's own sentence."""
        reply, received = self.ask_for_descriptors(do, descriptors, **arguments)
        for descriptor in received:
            os.close(descriptor)
        return reply

    def ask_for_descriptors(
        self, do: str, descriptors: Sequence[int] = (), **arguments: Any
    ) -> tuple[dict[str, Any], list[int]]:
        """Like `ask`, and return the descriptors that came with the reply: the caller closes them."""
        try:
            with self._lock:
                self._channel.send({"do": do, **arguments}, descriptors)
                answer = self._channel.receive()
        except TimeoutError as error:
            raise LabError(f"the lab's {self._what} did not answer within {_PATIENCE:.0f} s") from error
        except OSError as error:
            raise LabError(f"the lab's {self._what} is gone: open a new lab") from error
        if answer is None:
            raise LabError(f"the lab's {self._what} is gone: open a new lab")
        reply, received = answer
        if "error" in reply:
            raise LabError(reply["error"])
        return reply, received

    def close(self) -> None:
        """End it and wait until it is gone; does nothing the second time."""
        self._channel.socket.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def run(main: Callable[[Channel], Coroutine[Any, Any, None] | None], descriptor: int, owner: int) -> None:
    """Run *main*, a function or a coroutine function, in the helper process on the inherited control socket.

    The owner's death is watched besides the socket: a fork of the owner may hold the other end open.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    channel = Channel(sock, os.pidfd_open(owner))
    if os.getppid() == owner:  # else it died first, and its number may be another's by now
        work = main(channel)
        if work is not None:
            import asyncio

            asyncio.new_event_loop().run_until_complete(work)
    os._exit(0)  # what is still under way dies with the process, without a word


def serve(channel: Channel, handlers: Mapping[str, Handler]) -> None:
    """Answer requests until the owner closes its end or dies."""
    while True:
        ready, _, _ = select.select([channel.socket, channel.owner], [], [])
        if channel.owner in ready or not channel.answer(handlers):
            return


async def serve_async(channel: Channel, handlers: Mapping[str, Handler]) -> None:
    """The same for a helper that runs an asyncio loop."""
    import asyncio

    gone = asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer() -> None:
        if not channel.answer(handlers):
            loop.remove_reader(channel.socket)
            gone.set()

    loop.add_reader(channel.socket, answer)
    loop.add_reader(channel.owner, gone.set)
    await gone.wait()
