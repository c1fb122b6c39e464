"""How the lab's processes are started, and how they are spoken to.

Rule: a helper process lives as long as the socket it was given. It ends when the other end
closes, and the kernel closes that one however its owner dies; so no helper outlives its lab.
A message is one JSON object in one packet, descriptors beside it; each request gets one reply.
"""

from __future__ import annotations

import array
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from keptalive.errors import LabError

_LARGEST = 128 * 1024  # below net.core.wmem_default, the limit of one packet on a Unix socket
_MOST_DESCRIPTORS = 16
_PATIENCE = 20.0  # s a reply may take: a machine under heavy load, not a hung helper

#: Python without the caller's set-up (environment, site, what these might import): it runs what follows.
PYTHON = (sys.executable, "-I", "-S", "-c")
#: The directory that this package was imported from.
SOURCE = str(Path(__file__).parents[2])

# The child looks for modules where its parent found them, and runs main(owner) of the module named.
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
    "from importlib import import_module as load;"
    "load('keptalive.lab.control').run(load(sys.argv[2]).main, *map(int, sys.argv[3:]))"
)

#: What a helper does for one kind of request: takes its arguments, returns the reply. Under "descriptors"
#: both may carry descriptors: the helper owns those it gets, and hands over those it returns.
Handler = Callable[..., dict[str, Any]]


class Channel:
    """One end of a control socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one message; raises OSError (EPIPE, ECONNRESET) if the other end is gone."""
        beside = []
        if descriptors:
            beside.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors)))
        self.socket.sendmsg([json.dumps(message).encode()], beside, socket.MSG_NOSIGNAL)

    def receive(self) -> dict[str, Any] | None:
        """Wait for a message; None when the other end is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, _LARGEST, _MOST_DESCRIPTORS)
        except ConnectionResetError:
            return None
        if not data:
            return None
        message: dict[str, Any] = json.loads(data)
        if descriptors:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            message["descriptors"] = descriptors
        return message


class Owner(Channel):
    """The helper's end: requests come from the process that the helper belongs to."""

    def __init__(self, sock: socket.socket, process: int) -> None:
        super().__init__(sock)
        self.death = os.pidfd_open(process)  # readable once it is dead

    def answer(self, handlers: Mapping[str, Handler]) -> bool:
        """Answer one request; False when the owner is gone."""
        request = self.receive()
        if request is None:
            return False
        try:
            reply = handlers[request.pop("do")](**request)
        except (OSError, LabError) as error:
            reply = {"error": str(error)}
        descriptors = reply.pop("descriptors", ())
        try:
            self.send(reply, descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Answer requests until the owner closes its end or dies."""
        while True:
            ready, _, _ = select.select([self.socket.fileno(), self.death], [], [])
            if self.death in ready or not self.answer(handlers):
                return

    async def serve_async(self, handlers: Mapping[str, Handler]) -> None:
        """Do the same in a helper that runs an asyncio loop."""
        import asyncio

        gone = asyncio.Event()
        loop = asyncio.get_running_loop()

        def answer() -> None:
            if not self.answer(handlers):
                loop.remove_reader(self.socket)
                gone.set()

        loop.add_reader(self.socket, answer)
        loop.add_reader(self.death, gone.set)
        await gone.wait()


class Helper:
    """A process of the lab, seen from the process that started it."""

    def __init__(self, module: str) -> None:
        """Start `main(owner)` of *module* in a process of its own; returns before it is ready."""
        self._what = module.rpartition(".")[2].replace("_", " ")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_PATIENCE)
        self._channel = Channel(ours)
        self._lock = threading.Lock()
        path = json.dumps([*(entry or str(Path.cwd()) for entry in sys.path), SOURCE])
        argv = [*PYTHON, _START, path, module, str(theirs.fileno()), str(os.getpid())]
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
        """Send a request and return the reply; descriptors that come with it are the caller's to close.

        Raises LabError: with the helper's own sentence, or because it is gone.
        """
        try:
            with self._lock:
                self._channel.send({"do": do, **arguments}, descriptors)
                reply = self._channel.receive()
        except TimeoutError as error:
            self._channel.socket.close()  # a late reply would pass for that of the next request
            raise LabError(f"the lab's {self._what} did not answer within {_PATIENCE:.0f} s") from error
        except OSError as error:
            raise LabError(f"the lab's {self._what} is gone: open a new lab") from error
        if reply is None:
            raise LabError(f"the lab's {self._what} is gone: open a new lab")
        if "error" in reply:
            raise LabError(reply["error"])
        return reply

    def close(self) -> None:
        """End it and wait until it is gone; does nothing the second time."""
        self._channel.socket.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def allow_many_sockets() -> None:
    """Take as many descriptors as this process may have: the usual 1024 are few for a server."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(main: Callable[[Owner], Coroutine[Any, Any, None] | None], descriptor: int, owner: int) -> None:
    """Run *main*, a function or a coroutine function, in the helper process on the inherited control socket.

    The owner's death is watched besides the socket: a fork of the owner may hold the other end open.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_many_sockets()
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    channel = Owner(sock, owner)
    if os.getppid() == owner:  # else it died first, and its number may be another's by now
        work = main(channel)
        if work is not None:
            import asyncio

            asyncio.new_event_loop().run_until_complete(work)
    os._exit(0)  # what is still under way dies with the process, without a word
