"""A relay: a firewall that misbehaves, made of two sockets for each connection.

Rule: it counts segments, not bytes, so a keepalive probe keeps a flow alive here as it does in a real
firewall; and what it forgets it leaves open and deaf, since closing would tell the ends.

What it cannot do: TCP ends at the relay, so the server never sees a client's probe, and what the kernel
had already queued towards a client still arrives after the flow was forgotten by `expire`.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial

from keptalive.errors import LabError
from keptalive.lab.event import ASKED_FOR, LabEvent
from keptalive.lab.faults import Faults
from keptalive.lab.faults.fault import AfterIdle, Moment
from keptalive.lab.faults.gateway_timeout import GatewayTimeout as GatewayTimeoutFault
from keptalive.lab.flows import Address, Flow, deafen, discarded, prompt
from keptalive.lab.listeners import listen
from keptalive.lab.polling import Poller
from keptalive.lab.relayed.darkness import Darkness
from keptalive.lab.relayed.endings import ENDINGS, Drop, Ending
from keptalive.lab.relayed.piece import Piece
from keptalive.lab.silence import Silence, require_counts

_FULL = (errno.EMFILE, errno.ENFILE)
_RECOVERY = 0.2  # s until we try to accept again when there was no descriptor left


class Relay:
    """All flows of one lab."""

    def __init__(self, faults: Faults, record: Callable[[LabEvent], object]) -> None:
        """Do what *faults* say; *record* is told of events.

        Raises LabError where this system, or the relay, cannot.
        """
        refusal = faults.refusal("relay")
        if refusal:
            raise LabError(refusal)
        _require_deafness()
        require_counts()
        self.poller = Poller()
        self.dark = False
        self._full = False  # no descriptor was left when somebody came last
        self._record = record
        self._listeners: list[tuple[socket.socket, Sequence[Address]]] = []  # and where they lead to
        self._flows: dict[Flow, None] = {}  # a set in order of age
        self._drop = Drop(self)
        self._ending: Ending = self._drop
        self._pieces: list[Piece] = []
        self._silence: Silence | None = None
        self._arrange(faults)

    def _arrange(self, faults: Faults) -> None:
        for part in faults.parts:
            if isinstance(part, AfterIdle) and type(part) in ENDINGS:
                self._ending = ENDINGS[type(part)](self)
                self._silence = Silence(part.seconds, part.counts, self.poller, self._was_idle)
        waiting = faults.get(GatewayTimeoutFault)
        if waiting is not None:
            # What knows HTTP takes 40 ms to import.
            from keptalive.lab.relayed.gateway_timeout import GatewayTimeout

            self._pieces.append(GatewayTimeout(waiting.seconds, self))
        moments = [part for part in faults.parts if isinstance(part, Moment)]
        if moments:
            self._pieces.append(Darkness(moments, self))

    def listen(self, hosts: Sequence[str], port: int, upstream: Sequence[Address]) -> list[Address]:
        """Listen on *port* (0: any free one) of each host; relay to the first address that answers.

        Returns where it listens. Raises OSError like bind(2).
        """
        listeners = listen(hosts, port)
        for listener in listeners:
            listener.setblocking(False)
            prompt(listener, listener.getsockname())
            deafen(listener, self.dark)
            self._listeners.append((listener, upstream))
            self.poller.watch(listener.fileno(), partial(self._accept, listener, upstream))
        return [listener.getsockname() for listener in listeners]

    def expire(self) -> None:
        """End every flow as if it had been idle: those too that the kernel has accepted and we have not."""
        for listener, upstream in self._listeners:
            self._accept(listener, upstream)
        for flow in list(self._flows):
            self.end(flow, ASKED_FOR)

    def close(self) -> None:
        """Reset every connection, so that neither end goes on alone, and stop to listen."""
        for flow in list(self._flows):
            flow.reset()
        for ending in {self._drop, self._ending}:
            ending.close()
        for listener, _ in self._listeners:
            self.poller.close(listener)
        self.poller.end()

    def record(self, kind: str, detail: str, sender: str = "") -> None:
        """Tell of an event that happens now."""
        self._record(LabEvent(time.monotonic(), kind, detail, sender))

    def end(self, flow: Flow, reason: str) -> None:
        """Do to a flow what this relay does to one that was idle for too long."""
        self.record("expired", f"{flow.name}: {reason}")
        if self.dark:
            self.keep_silent(flow)  # what another ending would send gets lost
        else:
            self._let_go(flow)
            self._ending.end(flow)

    def keep_silent(self, flow: Flow) -> None:
        """Have a flow be forgotten: neither end is told, now or later."""
        self._let_go(flow)
        self._drop.end(flow)

    def set_dark(self, dark: bool) -> None:
        """Let nothing pass, or let it pass again."""
        if dark:
            for listener, upstream in self._listeners:
                self._accept(listener, upstream)  # who was connected before
        self.dark = dark
        for listener, _ in self._listeners:
            deafen(listener, dark)
        for flow in list(self._flows):
            if dark:
                flow.pause()
            else:
                flow.resume()
        self._ending.set_dark(dark)

    def _accept(self, listener: socket.socket, upstream: Sequence[Address], _: int = 0) -> None:
        """Accept whoever waits."""
        while True:
            try:
                flow = self._take(listener, upstream)
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                self._rest(listener, upstream)
                return
            self._full = False
            self._flows[flow] = None
            if self._silence is not None:
                self._silence.add(flow)
            for piece in self._pieces:
                piece.opened(flow)
            if self.dark:
                flow.pause()

    def _take(self, listener: socket.socket, upstream: Sequence[Address]) -> Flow:
        client, address = listener.accept()
        client.setblocking(False)
        try:
            over, unreached = self._let_go, self._unreached
            return Flow(client, address, upstream, self.poller, when_over=over, when_unreached=unreached)
        except OSError:
            client.close()
            raise

    def _rest(self, listener: socket.socket, upstream: Sequence[Address]) -> None:
        """Have who comes wait, since there is no descriptor left."""
        if not self._full:
            self.record("full", "no descriptor left for another connection: raise the limit (ulimit -n)")
        self._full = True
        self.poller.unwatch(listener.fileno())

        def resume() -> None:
            self.poller.watch(listener.fileno(), partial(self._accept, listener, upstream))

        self.poller.at(time.monotonic() + _RECOVERY, resume)

    def _was_idle(self, flow: Flow, seconds: float) -> None:
        self.end(flow, f"idle for {seconds:.2f} s")

    def _unreached(self, flow: Flow, reason: str) -> None:
        self.record("unreached", f"{flow.name}: {reason}")

    def _let_go(self, flow: Flow) -> None:
        """Have nothing to do any more with a flow that has ended, or is somebody else's now."""
        if flow in self._flows:
            del self._flows[flow]
            if self._silence is not None:
                self._silence.discard(flow)
            for piece in self._pieces:
                piece.over(flow)


def _require_deafness() -> None:
    with socket.socket() as trial:
        try:
            deafen(trial)
            discarded(trial)
        except OSError as error:
            raise LabError(f"sockets cannot be made deaf here ({error})") from error
