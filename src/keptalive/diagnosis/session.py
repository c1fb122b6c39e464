"""`keptalive.diagnose()`: from a URL to a verdict.

Rule: it joins a request, an experiment and a verdict, and adds no judgement of its own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence

from keptalive import platforms
from keptalive.diagnosis.answers import Answers
from keptalive.diagnosis.evidence import Evidence, Timers
from keptalive.diagnosis.experiment import Experiment, Plan
from keptalive.diagnosis.request import Proxies, Proxy, make_request
from keptalive.diagnosis.result import Diagnosis
from keptalive.diagnosis.wording import conclude
from keptalive.errors import BadInput, NotSupported
from keptalive.policy import Policy
from keptalive.probing.alone import refuse_inside_a_loop

#: The held arm's keepalive: so eager that only a path that keepalive cannot hold at all kills it; the policy
#: to use follows from the measured timeout. An outage of less than a quarter of a minute is survived.
EAGER = Timers(1, 1, 15)
#: Seconds that a request is given: the longest idle timeout of a common middlebox, an hour.
TIMEOUT = 3600.0
#: Connections for the measurement meanwhile: enough to find the timeout to a twentieth in little more time.
CONNECTIONS = 20
#: Of them, a second: as `keptalive probe`.
RATE = 10.0
#: What `proxy` is called where the environment's are to be ignored.
NO_PROXY = "none"


class Session:
    """A diagnosis that can be watched and interrupted: `result()` tells at any time what is known."""

    def __init__(
        self,
        url: str,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        data: bytes | None = None,
        policy: Policy | Timers | None = None,
        timeout: float = TIMEOUT,
        proxy: str | None = None,
        insecure: bool = False,
        cacert: str | None = None,
        twice: bool = False,
        connections: int = CONNECTIONS,
        rate: float = RATE,
        output: str | None = None,
        progress: Callable[[Experiment], None] | None = None,
        make_socket: Callable[[int], socket.socket] | None = None,
    ) -> None:
        """Prepare; nothing is sent. Arguments as for diagnose(), and errors of theirs.

        make_socket: makes the sockets, given a family.
        """
        if not timeout > 0:
            raise BadInput(f"a timeout of {timeout:g} s makes no sense")
        if connections < 0 or 0 < connections < 4:
            raise BadInput(f"{connections} connections are too few to measure: 4 at least, or 0 for none")
        if not rate >= 0:
            raise BadInput(f"a rate of {rate:g} connections a second makes no sense")
        self._proxies = Proxies(
            None if proxy in (None, NO_PROXY) else Proxy.parse(proxy or ""), from_environment=proxy is None
        )
        rows = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        self.request = make_request(url, method=method, headers=rows, body=data, proxies=self._proxies)
        self.both = twice or self.request.repeatable
        timers = EAGER if policy is None else Timers.of(policy) if isinstance(policy, Policy) else policy
        self._plan = Plan(timers, timeout, self.both, connections, rate, Answers(output))
        self._context = _tls(insecure=insecure, cacert=cacert)
        self._progress, self._make_socket = progress, make_socket
        self._experiment: Experiment | None = None

    async def run(self) -> Diagnosis:
        """Diagnose. Raises BadInput (no such host, no HTTP there, certificate refused) and NotSupported."""
        if platforms.current().tcp_info is None:
            raise NotSupported("a request is diagnosed with TCP_INFO, which keptalive knows on Linux only")
        self._experiment = Experiment(
            self.request,
            self._plan,
            proxies=self._proxies,
            context=self._context,
            make_socket=self._make_socket,
            progress=self._progress,
        )
        await self._experiment.run()
        return self.result()

    def result(self, *, interrupted: bool = False) -> Diagnosis:
        """Return what is known now."""
        if self._experiment is None:
            return conclude(Evidence(self.request.shape(), None, None, interrupted=interrupted))
        return conclude(self._experiment.evidence(interrupted=interrupted))


def _tls(*, insecure: bool, cacert: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cacert)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"{cacert} holds no certificates that can be read: {error}") from error
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def diagnose(
    url: str,
    *,
    method: str | None = None,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    data: bytes | None = None,
    policy: Policy | Timers | None = None,
    timeout: float = TIMEOUT,
    proxy: str | None = None,
    insecure: bool = False,
    cacert: str | None = None,
    twice: bool = False,
    connections: int = CONNECTIONS,
    rate: float = RATE,
    output: str | None = None,
    progress: Callable[[Experiment], None] | None = None,
) -> Diagnosis:
    """Make one request twice at once, plain and held by keepalive, and tell what kills it, if anything does.

    Takes as long as the answer does, *timeout* seconds at most; where the path forgets, or no answer comes,
    15 s more at most. Meanwhile the path's idle timeout is measured on *connections* idle connections of
    their own, opened *rate* a second, 0 for none: leave it away for a server with a handful of workers.

    data: the body; without a *method* it is POSTed.
    policy: the held arm's keepalive, if a certain one is to be tried; without one, a probe a second.
    proxy: "[http://][USER:PASSWORD@]HOST:PORT", "none", or None for what the environment says.
    insecure: trust any certificate. cacert: a file of certificates to trust.
    twice: send the request twice though its method is neither GET nor HEAD; else only the held one is sent.
    output: a file for the body of the answer, if one comes.
    progress: called about four times a second.

    A port that refuses, or never answers, is a result: the verdict is "unreachable". Raises BadInput for a
    URL, a host or arguments that make no sense, a certificate that is refused, redirects without end and
    what is no HTTP; NotSupported where there is no TCP_INFO. Raises RuntimeError inside a running
    event loop: there `await asyncio.to_thread(keptalive.diagnose, ...)`, or await
    `keptalive.diagnosis.session.Session(...).run()`, which takes the same arguments.
    """
    refuse_inside_a_loop("diagnose", "keptalive.diagnosis.session.Session")
    session = Session(
        url,
        method=method,
        headers=headers,
        data=data,
        policy=policy,
        timeout=timeout,
        proxy=proxy,
        insecure=insecure,
        cacert=cacert,
        twice=twice,
        connections=connections,
        rate=rate,
        output=output,
        progress=progress,
    )
    return asyncio.run(session.run())
