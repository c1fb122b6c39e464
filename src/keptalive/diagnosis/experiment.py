"""The experiment: both arms at once, the path measured meanwhile, and questions to what still hangs.

Rule: it decides when to ask whom, and when enough is known; what was seen is evidence, what it means is
`verdicts`' business.

A pending request tells nothing: its server may be slow, or the path may have forgotten it. Once its twin has
come to an end, or the measurement says that such a silence kills, it is asked; a fresh connection, the
control, tells whether the path is there at all then, and whether probes are answered on it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from keptalive.diagnosis.answers import Answers
from keptalive.diagnosis.arms import RunningArm
from keptalive.diagnosis.evidence import Evidence, Timers
from keptalive.diagnosis.line import Line
from keptalive.diagnosis.meanwhile import Meanwhile
from keptalive.diagnosis.questions import Questions
from keptalive.diagnosis.request import Proxies, Request
from keptalive.errors import BadInput
from keptalive.probing.ending import end
from keptalive.probing.target import Address, Target

_TICK = 0.25  # s between samples
_SUSPECT = 0.5  # s after which the second arm is prepared to be asked
#: Seconds from the end of one arm after which the other is not waited for any longer.
_PATIENCE = 10.0
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Plan:
    """How to do it."""

    timers: Timers  # of the held arm
    timeout: float  # s that the request is given
    both: bool  # False: the held arm alone
    connections: int  # for the measurement meanwhile; 0: none
    rate: float  # of them, a second; 0: no limit
    answers: Answers


class Experiment:
    """One diagnosis under way. `run()` it once; `evidence()` tells at any time what is known."""

    def __init__(
        self,
        request: Request,
        plan: Plan,
        *,
        proxies: Proxies,
        context: ssl.SSLContext | None,
        make_socket: Callable[[int], socket.socket] | None = None,
        progress: Callable[[Experiment], None] | None = None,
    ) -> None:
        """Prepare, inside the event loop; *context* is that of TLS, *progress* is called at each tick."""
        self.plan = plan
        self.plain: RunningArm | None = None
        self.held: RunningArm | None = None
        self.meanwhile: Meanwhile | None = None
        self._request, self._proxies, self._context = request, proxies, context
        self._make_socket, self._progress = make_socket, progress
        self._loop = asyncio.get_running_loop()
        self._began, self._clock = self._loop.time(), datetime.now(timezone.utc)
        self._event = asyncio.Event()
        self._questions: Questions | None = None
        self._sent_at = 0.0
        self._over_at: float | None = None  # what is done afterwards is no evidence

    @property
    def now(self) -> float:
        """Seconds since the diagnosis began."""
        return self._loop.time() - self._began

    @property
    def arms(self) -> list[RunningArm]:
        """The arms that there are: the held one first, as it is sent first."""
        return [arm for arm in (self.held, self.plain) if arm is not None]

    async def run(self) -> None:
        """Do it. Raises BadInput: no such host, no HTTP, a certificate refused, redirects without end."""
        try:
            while await self._connect():
                for arm in self.arms:
                    if arm.connected_at is not None:
                        arm.send(self._request.encode())
                self._sent_at = self.now
                await self._watch()
                if not self._follow() and self._questions is not None:
                    await self._questions.ask_the_rest()
                    await self._finish_measuring()
                    break
                await self._clean_up()
        finally:
            self._over_at = self.now
            try:
                await self._clean_up()
                self._save()
            finally:
                self.plan.answers.close()

    # -- connecting ---------------------------------------------------------------------------------------

    async def _connect(self) -> bool:
        """Make both connections, to the same address: the first that answers. False if none does."""
        proxy = self._request.proxy
        host, port = (self._request.host, self._request.port) if proxy is None else (proxy.host, proxy.port)
        for address in await _addresses(host, port, proxy=proxy is not None):
            self.held = self._arm(address, self.plan.timers)
            if await self.held.connect(self._request.host):
                break
        else:
            self.plain = None
            return False
        self.meanwhile = Meanwhile(self._request, address, self.plan.connections, self.plan.rate)
        if self.plan.both:
            self.plain = self._arm(address, None)
            await self.plain.connect(self._request.host)
        self._questions = Questions(
            self.held,
            self.plain,
            address,
            deadly=self.meanwhile.deadly,
            began=self._began,
            make_socket=self._make_socket,
        )
        return True

    def _arm(self, address: Address, timers: Timers | None) -> RunningArm:
        line = Line(
            address,
            self._request,
            timers=timers,
            context=self._context if self._request.tls else None,
            changed=self._event.set,
            make_socket=self._make_socket,
        )
        sink = self.plan.answers.sink(held=timers is not None)
        return RunningArm(line, self._request.method, timers, began=self._began, sink=sink)

    def _follow(self) -> bool:
        """Prepare the request that a redirect asks for, if all arms were answered with the same one."""
        answers = {(arm.response.status, arm.response.headers.get("location")) for arm in self.arms}
        status, location = answers.pop()
        answered = all(arm.outcome == "answered" for arm in self.arms)
        if answers or not answered or status not in _REDIRECTS or location is None:
            return False
        self._request = self._request.redirected(status or 0, location, self._proxies)
        return True

    # -- waiting ------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Wait until both arms have ended, or nothing more is to be expected of them."""
        assert self._questions is not None
        examination: asyncio.Task[None] | None = None
        try:
            while not self._over():
                await self._tick()
                if examination is not None and examination.done():
                    await examination
                    examination = None
                if examination is None and (doubtful := self._doubtful()):
                    examination = asyncio.ensure_future(self._questions.ask(doubtful))
            if examination is not None:
                await examination
        finally:
            if examination is not None:
                await end([examination])

    async def _tick(self) -> None:
        """Wait for something to happen, but not for long; look at everything."""
        alarm = self._loop.call_later(_TICK, self._event.set)
        try:
            await self._event.wait()
        finally:
            alarm.cancel()
        self._event.clear()
        for arm in self.arms:
            arm.look()
            if arm.trouble is not None:
                raise arm.trouble
        assert self.meanwhile is not None
        if self._waiting():
            self.meanwhile.begin(self.now - self._sent_at, self._make_socket)
        if self._progress is not None:
            self._progress(self)

    def _waiting(self) -> list[RunningArm]:
        return [arm for arm in self.arms if arm.waiting]

    def _over(self) -> bool:
        if not self._waiting() or self.now > self._sent_at + self.plan.timeout:
            return True
        held, plain = self.held, self.plain
        if held is not None and (held.ended_at is not None or held.dead):
            return self.now > (held.ended_at or held.pokes[-1].at) + _PATIENCE
        if plain is not None and plain.ended_at is not None and plain.outcome == "answered":
            waited = plain.ended_at - (plain.sent_at or 0.0)
            return self.now > plain.ended_at + waited + _PATIENCE
        return False

    def _doubtful(self) -> list[RunningArm]:
        """Return the arms of which it is time to ask whether they live."""
        assert self.meanwhile is not None
        doubtful = []
        for arm in self._waiting():
            twin = self.plain if arm.held else self.held
            late = not arm.held and twin is not None and twin.ended_for > _SUSPECT
            if (late or self.meanwhile.deadly(arm.idle_for)) and not arm.pokes:
                doubtful.append(arm)
        return doubtful

    async def _finish_measuring(self) -> None:
        """Wait for the measurement, if it still can tell something that matters, and not for long."""
        assert self.meanwhile is not None and self._questions is not None
        control = self._questions.control
        there = control is None or control.connected
        if self.plan.both and not (self._questions.path_in_question() and there):
            return
        end = self.held.ended_at if self.held is not None else None
        end = self.now if end is None else end
        known = [arm.pokes[-1].idle_for for arm in self.arms if arm.dead]
        enough = None if self.plan.both or end is None else end - self._sent_at
        while not self.meanwhile.done(enough):
            timeout = min([*known, self.meanwhile.dead_at or math.inf, end])
            if self.now > max(1.3 * timeout, end) + _PATIENCE:
                break
            await self._tick()

    # -- the end ------------------------------------------------------------------------------------------

    async def _close_arms(self) -> None:
        # A farewell takes segments without data, and these may be what does not pass.
        control = None if self._questions is None else self._questions.control
        passing = control is None or control.probes == "answered"
        await asyncio.gather(*(arm.close(politely=passing) for arm in self.arms))

    async def _clean_up(self) -> None:
        """Leave nothing behind."""
        stop = [] if self.meanwhile is None else [self.meanwhile.stop()]
        await asyncio.gather(self._close_arms(), *stop)

    def _save(self) -> None:
        """Keep the answer, the held arm's if both were answered."""
        for arm in self.arms:
            if arm.outcome == "answered":
                self.plan.answers.save(held=arm.held)
                return

    def evidence(self, *, interrupted: bool = False) -> Evidence:
        """Return what is known now."""
        return Evidence(
            request=self._request.shape(),
            plain=None if self.plain is None else self.plain.freeze(),
            held=None if self.held is None else self.held.freeze(),
            control=None if self._questions is None else self._questions.control,
            ladder=None if self.meanwhile is None else self.meanwhile.result(),
            seconds=self.now if self._over_at is None else self._over_at,
            timeout=self.plan.timeout,
            interrupted=interrupted,
            began=self._clock.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )


async def _addresses(host: str, port: int, *, proxy: bool) -> list[Address]:
    """Look a host up. Raises BadInput, which says so if it is the proxy that does not exist."""
    try:
        return await Target(host, port).addresses()
    except BadInput as error:
        if not proxy:
            raise
        raise BadInput(f"the proxy cannot be found: {error}") from error
