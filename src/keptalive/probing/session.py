"""`keptalive.probe()`: one path, measured from a host's name to a result.

Rule: it joins a target, a measurement and a result, and adds no judgement of its own.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import statistics
from collections.abc import Callable, Iterator
from functools import partial

from keptalive import platforms
from keptalive.errors import BadInput, NotSupported
from keptalive.probing.alone import refuse_inside_a_loop
from keptalive.probing.ladder import Goal
from keptalive.probing.measure import Measurement, Progress
from keptalive.probing.result import ProbeResult, conclude
from keptalive.probing.signatures import NOBODY_BEHIND, Behaviour, Evidence
from keptalive.probing.target import Address, Target
from keptalive.sockets import format_address

#: Seconds: longer than the 10 minutes of Google's VPC firewall, the longest common box that forgets within
#: minutes. What forgets after an hour is held by any policy.
LONGEST = 720.0
#: What a busy server does not notice, and what is enough for one per cent in little more than the timeout.
CONNECTIONS = 50
#: New connections a second: what no server or firewall takes for an attack.
RATE = 10.0
_TICKETS = 1.0  # s within which a TLS server sends what belongs to the handshake (RFC 8446, 4.6.1)
_MOST = 1000  # connections: what a process may have open as systems come, nearly; 1 % takes 50
_FEWEST = 4  # connections: one climbs, one bears witness, one refines, one is kept for the last question


class Session:
    """A measurement that can be watched and interrupted: `result()` tells at any time what is known."""

    def __init__(
        self,
        target: Target,
        goal: Goal,
        *,
        rate: float = RATE,
        progress: Callable[[Progress], None] | None = None,
        make_socket: Callable[[int], socket.socket] | None = None,
    ) -> None:
        """Prepare; nothing is sent. *make_socket* makes the sockets, given a family. Raises BadInput."""
        if not 0.0001 <= goal.precision <= 1:
            raise BadInput(f"precision {goal.precision:g} is not between 0.0001 and 1")
        if goal.connections < _FEWEST:
            raise BadInput(f"{goal.connections} connections are too few: it takes {_FEWEST}")
        if goal.connections > _MOST:
            raise BadInput(f"{goal.connections} connections are too many: it takes {_MOST:,} at most")
        if not 2 <= goal.longest <= 32000:
            raise BadInput(f"the longest silence must be between 2 and 32,000 s, not {goal.longest:g}")
        if not rate >= 0:
            raise BadInput(f"a rate of {rate:g} connections a second makes no sense")
        self._target, self._goal, self._rate, self._progress = target, goal, rate, progress
        self._make_socket = make_socket
        self._measurement: Measurement | None = None
        self._address: Address | None = None
        self._behaviour: Behaviour = "unknown"
        self._error: str | None = None

    async def run(self) -> ProbeResult:
        """Measure. Raises BadInput (no such host, no TLS there, certificate refused) and NotSupported."""
        if platforms.current().tcp_info is None:
            raise NotSupported("a path is measured with TCP_INFO, which keptalive knows on Linux only")
        for address in await self._target.addresses():
            self._address = address
            dial = partial(self._target.wire, address, self._make_socket)
            self._measurement = Measurement(dial, self._goal, rate=self._rate, progress=self._progress)
            try:
                self._behaviour = await self._measurement.run()
            except ssl.SSLError as error:
                raise BadInput(f"{self._name} and TLS: {_tls_reason(error)}") from error
            except OSError as error:
                reset = error.errno == errno.ECONNRESET and not self._target.tls  # a closed port refuses
                self._behaviour, self._error = "unreachable", NOBODY_BEHIND if reset else _reason(error)
            else:
                if self._behaviour != "unreachable":
                    break
                self._error = NOBODY_BEHIND
        return self.result()

    @property
    def _name(self) -> str:
        return f"{self._target.host}:{self._target.port}"

    async def bury(self) -> None:
        """Make the server forget what an interrupted measurement left in silence."""
        if self._measurement is not None:
            await self._measurement.bury()

    def result(self) -> ProbeResult:
        """Return what is known now."""
        measurement = self._measurement
        evidence = measurement.evidence if measurement else Evidence()
        return conclude(
            evidence,
            self._behaviour,
            host=self._target.host,
            port=self._target.port,
            address=self._address and format_address(self._address.sockaddr),
            connections=measurement.connections if measurement else 0,
            seconds=measurement.elapsed if measurement else 0.0,
            error=self._error if self._behaviour == "unreachable" else None,
            more=tuple(self._more(measurement)) if measurement else (),
        )

    def _more(self, measurement: Measurement) -> Iterator[str]:
        """Yield what is to be said of this measurement beside its evidence."""
        evidence, all_of_them = measurement.evidence, measurement.connections
        if measurement.refused:
            yield f"{measurement.refused} of {all_of_them} connections were not to be had."
        if evidence.shed and evidence.settled:
            yield (
                f"The other end closed {len(evidence.shed)} of {all_of_them} connections within a second or "
                f"two: it does not take so many at once (--connections)."
            )
        # Over TLS, what comes early belongs to the handshake.
        said = [after for after in evidence.first_words.values() if after > _TICKETS or not self._target.tls]
        if self._target.http is not None and said:
            yield (
                f"The request was answered after {statistics.median(said):.1f} s, and longer silences are "
                f"those of connections where none was pending: a slower path would tell more."
            )
        if self._target.http is None and self._behaviour == "closed-by-peer":
            yield "Where a silent connection is closed, a slow request may hold it: --http PATH."
        if self._behaviour in ("silent", "reset") and not measurement.narrow:
            yield "The bracket is wider than asked for: more connections would make it narrower."


def probe(
    host: str,
    port: int = 443,
    *,
    precision: float = 0.01,
    max: float = LONGEST,
    connections: int = CONNECTIONS,
    tls: bool = False,
    http: str | None = None,
    rate: float = RATE,
    progress: Callable[[Progress], None] | None = None,
) -> ProbeResult:
    """Measure how long a connection to *host*:*port* may be idle before something on the way forgets it.

    Takes little more than that time; *max* seconds, and a little, where nothing forgets. It opens at most
    *connections* connections, *rate* a second (0: no limit), sends nothing over them but keepalive probes,
    and resets them at the end.

    precision: width of the bracket around the timeout, as a part of it.
    tls: do a TLS handshake first, for servers that hang up on who is silent. No certificate is checked.
    http: request this path with GET, for servers that let only a pending request be idle; over TLS, the
        certificate is checked.
    progress: called about twice a second.

    A port that refuses, or never answers, is a result: its behaviour is "unreachable". Raises BadInput for a
    host that does not exist and for arguments that make no sense, NotSupported where there is no TCP_INFO.
    Raises RuntimeError inside a running event loop: there `await asyncio.to_thread(keptalive.probe, ...)`, or
    await `keptalive.probing.session.Session(...).run()`, which takes a Target and a Goal.
    """
    refuse_inside_a_loop("probe", "keptalive.probing.session.Session")
    target, goal = Target(host, port, tls, http), Goal(precision, max, connections)
    session = Session(target, goal, rate=rate, progress=progress)
    return asyncio.run(session.run())


def _reason(error: OSError) -> str:
    """Return what the system calls it: asyncio puts words of its own into the error."""
    return os.strerror(error.errno) if error.errno else str(error)


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was refused ({error.verify_message})"
    return f"the handshake failed ({error.reason or error})"
