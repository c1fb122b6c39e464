"""One arm under way: it connects, sends its request, waits, and can be asked whether its connection lives.

Rule: it does and it notes; when to ask, and what follows, is decided above. What it noted is a frozen `Arm`.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import ssl
from collections.abc import Callable

from keptalive.diagnosis.evidence import NO_TLS_ANSWER, Arm, Outcome, Poke, Reply, Timers
from keptalive.diagnosis.line import Line, ProxyRefused
from keptalive.diagnosis.recorder import Recorder
from keptalive.diagnosis.response import NotHttp, Response
from keptalive.errors import BadInput
from keptalive.probing.rung import FLOOR, Answer, Rung, Weather
from keptalive.sockets import format_address

#: Seconds that a connection, with its tunnel and TLS handshake, may take: SYNs leave at 0, 1, 3 and 7 s.
CONNECT = 10.0
_DATA = b"\r\n"  # what a server of HTTP ignores before the next request (RFC 9112, 2.2)
_DATA_PATIENCE = 1.5  # s for its acknowledgement: two retransmissions
_ENOUGH = 4  # bursts without an answer, if they took ...
_LONGEST_QUESTION = 6.0  # s: on a path that lost much so far it would be asked on and on
#: What OpenSSL says of an answer that is no TLS, by its versions.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL")
_SHOWN = 80  # characters of a header of the response
#: Ends by which this kernel gave a connection up, or was told that there is no way.
_GIVEN_UP = {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


class RunningArm:
    """One of the two requests. Times are seconds since the diagnosis began."""

    def __init__(
        self,
        line: Line,
        method: str,
        timers: Timers | None,
        *,
        began: float,
        sink: Callable[[bytes], None] | None = None,
    ) -> None:
        """Prepare, inside the event loop; *began* is the loop's time when the diagnosis began."""
        self.held = timers is not None
        self.line, self.timers = line, timers
        self.response = Response(method, sink)
        self.recorder = Recorder() if timers is None else Recorder(timers.idle)
        self.pokes: list[Poke] = []
        self.connected_at: float | None = None
        self.sent_at: float | None = None
        self.error: str | None = None  # why there is no connection
        self.trouble: BadInput | None = None  # what came is no HTTP
        self._began = began
        self._answered_at: float | None = None
        self._done_at: float | None = None
        self._sending: asyncio.Task[None] | None = None
        self._send_error = 0  # the kernel tells of an RST once: whoever reads after that finds a plain end
        self._loop = asyncio.get_running_loop()
        line.deliver = self._hear

    @property
    def now(self) -> float:
        """Seconds since the diagnosis began."""
        return self._loop.time() - self._began

    # -- the request ---------------------------------------------------------------------------------------

    async def connect(self, host: str) -> bool:
        """Connect; False, with the reason in `error`, if there is no connection to be had.

        Raises BadInput: a certificate that is refused, no TLS where there should be some, a proxy's password.
        """
        try:
            await asyncio.wait_for(self.line.connect(), CONNECT)
        except ssl.SSLCertVerificationError as error:
            raise BadInput(f"the certificate of {host} was refused: {error.verify_message}").with_hint(
                "--cacert FILE trusts another authority, --insecure trusts anybody"
            ) from error
        except ssl.SSLError as error:
            failed = BadInput(f"{host} and TLS: the handshake failed ({error.reason or error})")
            if error.reason in _NO_TLS:
                failed = failed.with_hint("perhaps that port speaks no TLS: http:// instead of https://?")
            raise failed from error
        except asyncio.TimeoutError:
            self.error = NO_TLS_ANSWER if self.line.connected else "ETIMEDOUT"
        except ProxyRefused as error:
            self.error = str(error)
        except OSError as error:
            self.error = _name(error.errno or 0) or str(error)
        else:
            self.connected_at = self.line.connected - self._began
            return True
        return False

    def send(self, request: bytes) -> None:
        """Begin to send the request."""
        self._sending = asyncio.ensure_future(self._send(request))

    async def _send(self, request: bytes) -> None:
        try:
            await self.line.send(request)
        except OSError as error:
            self._send_error = error.errno or 0
            return  # the reader finds the end, and what the server may have said before
        self.sent_at = self.now

    def _hear(self, data: bytes) -> None:
        try:
            self.response.feed(data)
        except NotHttp as error:
            self.trouble = BadInput(f"what answers there does not speak HTTP/1.1: {error}")
        if self.response.status is not None and self._answered_at is None:
            self._answered_at = self.now
        if self.response.done and self._done_at is None:
            self._done_at = self.now

    def look(self) -> None:
        """Take a sample."""
        info = self.line.info()
        if info is not None and self.connected_at is not None and not self.ended:
            self.recorder.note(self.now, info)

    # -- its end --------------------------------------------------------------------------------------------

    @property
    def outcome(self) -> Outcome:
        """How it stands; what a question brought about does not count as its end."""
        end = self.line.end
        if end is not None and end.kind == "fin":
            self.response.end()
        if self.response.done:
            return "answered"
        if self.connected_at is None:
            return "no-connection"
        if end is None or (self.pokes and end.at - self._began >= self.pokes[0].at):
            return "pending"
        if end.kind == "fin" and self._send_error != errno.ECONNRESET:
            return "closed"
        return "timed-out" if end.errno in _GIVEN_UP else "reset"

    @property
    def ended(self) -> bool:
        """True once the request has come to an end by itself."""
        return self.outcome != "pending"

    @property
    def ended_at(self) -> float | None:
        """When it ended."""
        if not self.ended or self.connected_at is None:
            return None
        if self._done_at is None and self.line.end is not None:
            return self.line.end.at - self._began
        return self._done_at

    @property
    def ended_for(self) -> float:
        """Seconds since it ended; 0 while it has not."""
        return 0.0 if self.ended_at is None else self.now - self.ended_at

    @property
    def waiting(self) -> bool:
        """True while something may still come of it."""
        return not self.ended and not self.dead

    @property
    def dead(self) -> bool:
        """True if it is pending and the last question went without an answer."""
        return not self.ended and bool(self.pokes) and self.pokes[-1].reply != "answered"

    # -- questions ------------------------------------------------------------------------------------------

    async def ask(self, weather: Weather) -> None:
        """Ask by probes whether the connection lives; where data is under way already, see if it arrives."""
        info = self.line.info()
        if self.ended or info is None:
            return
        if info.unacked or info.notsent_bytes:
            # As long as data waits to be acknowledged, the kernel sends no keepalive probes.
            await self._ask_by_data(b"")
            return
        begun, idle_for = self.now, self.idle_for
        self.line.prepare()
        try:
            # No probe can be sent to who was heard of within the last second.
            await asyncio.sleep(max(0.0, FLOOR - idle_for))
            reply = await self._ask_by_probes(weather)
        finally:
            self.line.resume()
        self.pokes.append(Poke(begun, "probes", reply, idle_for))

    async def _ask_by_probes(self, weather: Weather) -> Reply:
        rung, begun = Rung(0, self.line, weather), self.now
        for burst in itertools.count(1):
            answer = await rung.ask()
            if answer is Answer.ALIVE:
                weather.note(burst)
                return "answered"
            if answer is Answer.ENDED:
                return self._end_as_reply()
            if burst >= weather.bursts or (burst >= _ENOUGH and self.now > begun + _LONGEST_QUESTION):
                break
            await rung.pause()
        return "silent"

    def note_round_trip(self, weather: Weather) -> None:
        """Let the questions know how long an answer takes on this path."""
        if not self.ended:
            weather.note_round_trip(self.line.look().round_trip)

    async def ask_by_data(self) -> None:
        """Ask by two bytes that HTTP ignores: what filters probes lets data pass."""
        if not self.ended and self.line.end is None:
            await self._ask_by_data(_DATA)

    async def _ask_by_data(self, data: bytes) -> None:
        begun, idle_for = self.now, self.idle_for
        before = self.line.look().acknowledged
        try:
            if data:
                self.line.say(data)
        except OSError:
            pass  # the connection has ended: the reader tells how
        reply: Reply = "silent"
        while self.now < begun + _DATA_PATIENCE and reply == "silent":
            await asyncio.sleep(0.02)
            if self.line.end is not None:
                reply = self._end_as_reply()
            elif self.line.look().acknowledged > before:
                reply = "answered"
        # Silence about data that was in flight already tells nothing: it may be that the other end does not
        # take it, and it may be its size that does not pass.
        if data or reply != "silent":
            self.pokes.append(Poke(begun, "data", reply, idle_for))

    @property
    def idle_for(self) -> float:
        """Seconds since anything was last known to have arrived at the other end."""
        return max(0.0, self._loop.time() - self.line.look().answered[1])

    def _end_as_reply(self) -> Reply:
        end = self.line.end
        assert end is not None
        if end.kind == "fin":
            return "closed"
        return "silent" if end.errno in _GIVEN_UP else "reset"

    # -- afterwards -----------------------------------------------------------------------------------------

    async def close(self, *, politely: bool) -> None:
        """Leave nothing behind: FIN for what was answered, RST else, and a dead end is made to forget."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        outcome = self.outcome
        if outcome == "answered" and politely:
            await self.line.part()
        elif outcome in ("answered", "no-connection"):
            self.line.close()
        else:
            await self.line.bury()

    def freeze(self) -> Arm:
        """Return what is known, as evidence."""
        local, remote = self.line.names
        outcome, end = self.outcome, self.line.end
        broken = outcome in ("reset", "timed-out") and end is not None
        return Arm(
            held=self.held,
            timers=self.timers,
            outcome=outcome,
            local=format_address(local),
            remote=format_address(remote),
            connected_at=self.connected_at,
            sent_at=self.sent_at,
            answered_at=self._answered_at,
            ended_at=self.ended_at,
            status=self.response.status,
            server=self._shown("server"),
            via=self._shown("via"),
            bytes_received=self.response.received,
            error=_name(end.errno or self._send_error) if broken and end is not None else self.error,
            answered_probes=self.recorder.answered_probes,
            last_answered_at=self.recorder.last_answered,
            samples=tuple(self.recorder.samples),
            pokes=tuple(self.pokes),
        )

    def _shown(self, header: str) -> str | None:
        value = self.response.headers.get(header)
        return None if value is None else value[:_SHOWN]


def _name(number: int) -> str | None:
    """Return "ECONNREFUSED" and the like."""
    return errno.errorcode.get(number) or (os.strerror(number) if number else None)
