"""What was seen while a request was made, plain and held: facts, frozen, each with its time.

Rule: no judgement, and no secret. Of the request it holds the shape (method, host, names of headers, sizes);
values of headers, user names, passwords, query strings and bodies never come in here, so nothing that is made
of it can show them. Times are seconds since the diagnosis began, one clock for everything.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from keptalive.errors import PolicyError
from keptalive.policy import Policy
from keptalive.presets import parse_policy
from keptalive.probing.result import ProbeResult

#: How an arm's request ended.
Outcome = Literal[
    "answered",  # a whole response came
    "closed",  # the other end closed the connection before the response was whole
    "reset",  # it was reset
    "timed-out",  # this kernel gave it up: no answer to probes, or to data, or no way to the host
    "no-connection",  # there was none to be had: refused, or never answered
    "pending",  # still waiting when the diagnosis ended
]

#: The error of an arm whose handshake got no answer.
NO_TLS_ANSWER = "TLS handshake not answered"

#: What came of asking a connection whether it is alive.
Reply = Literal["answered", "silent", "reset", "closed"]


@dataclass(frozen=True)
class Timers:
    """The keepalive of the held arm, in seconds. Unlike a Policy it may be one that cannot work well."""

    idle: int
    interval: int
    count: int
    user_timeout: float | None = None

    @classmethod
    def of(cls, policy: Policy) -> Timers:
        """Return a policy's."""
        return cls(policy.idle, policy.interval, policy.count, policy.user_timeout)

    @classmethod
    def parse(cls, text: str) -> Timers:
        """Read a policy as it is written, a preset's name, or IDLE:INTERVAL:COUNT whatever they are.

        Raises PolicyError.
        """
        try:
            return cls.of(parse_policy(text))
        except PolicyError:
            numbers = text.split(":")
            if len(numbers) != 3 or not all(part.isascii() and part.isdigit() for part in numbers):
                raise
            idle, interval, count = map(int, numbers)
            if not idle or not count or interval <= idle:
                raise
            return cls(idle, interval, count)

    @property
    def period(self) -> int:
        """Seconds between probes while they are answered: the longer of the two (tcp_keepalive_timer())."""
        return max(self.idle, self.interval)

    def __str__(self) -> str:
        text = f"{self.idle}:{self.interval}:{self.count}"
        return text if self.user_timeout is None else f"{text}:{self.user_timeout:g}"


@dataclass(frozen=True)
class Shape:
    """A request without its secrets."""

    method: str
    url: str  # no user, no query, no long (random) steps in the path
    host: str
    port: int
    tls: bool
    header_names: tuple[str, ...] = ()  # those the user gave
    body_bytes: int = 0
    proxy: str | None = None  # "HOST:PORT" of an explicit proxy
    proxy_from: Literal["option", "environment"] | None = None
    redirects: int = 0  # that were followed; url, host and port are those of the last


@dataclass(frozen=True)
class Sample:
    """TCP_INFO of one connection at one moment. Kept where a number changed, and now and then besides."""

    at: float
    state: str
    segments_in: int
    segments_out: int
    probes: int  # unanswered since the last answer
    unacked: int  # segments of ours in flight
    retransmits: int  # of the segment in flight now
    since_ack: float  # s since the last acknowledgement arrived (an answer to a probe is one)
    bytes_acked: int
    bytes_received: int


@dataclass(frozen=True)
class Poke:
    """One question to a connection that had gone quiet: a burst of probes, or two bytes that HTTP ignores."""

    at: float
    kind: Literal["probes", "data"]
    reply: Reply
    idle_for: float  # s of silence before the question


@dataclass(frozen=True)
class Arm:
    """One of the two requests, from connecting to its end, and what was asked of it afterwards."""

    held: bool
    timers: Timers | None  # of the held arm
    outcome: Outcome
    local: str | None = None  # "ADDR:PORT"
    remote: str | None = None
    connected_at: float | None = None
    sent_at: float | None = None  # the whole request was handed to the kernel
    answered_at: float | None = None  # the first byte of the final response came
    ended_at: float | None = None  # None while pending
    status: int | None = None  # of the final response
    server: str | None = None  # what the response's headers Server and Via say, shortened
    via: str | None = None
    bytes_received: int = 0  # of the final response's body
    error: str | None = None  # name of the errno, or a sentence where there is none
    answered_probes: int = 0  # of the kernel's own keepalive, as far as the samples show
    last_answered_at: float | None = None  # the last sign of life of the path before the end
    samples: tuple[Sample, ...] = ()
    pokes: tuple[Poke, ...] = ()  # the post-mortem

    @property
    def waited(self) -> float | None:
        """Seconds from the request's end to the arm's."""
        if self.sent_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.sent_at

    @property
    def last_reply(self) -> Reply | None:
        """What the last poke brought, or None if it was not asked."""
        return self.pokes[-1].reply if self.pokes else None


@dataclass(frozen=True)
class Control:
    """A fresh connection to the same port, made at the end, idle for a second, then asked."""

    at: float
    connected: bool
    error: str | None = None  # name of the errno
    probes: Reply | None = None
    data: Reply | None = None  # asked only where probes were not answered


@dataclass(frozen=True)
class Evidence:
    """All that was seen in one diagnosis."""

    request: Shape
    plain: Arm | None  # None where the request may not be repeated: then only the held one was made
    held: Arm | None  # None if even that did not begin
    control: Control | None = None
    ladder: ProbeResult | None = None  # the path's idle timeout, measured meanwhile on idle connections
    seconds: float = 0.0  # that the diagnosis took
    timeout: float | None = None  # s that the request was given
    interrupted: bool = False
    began: str = ""  # UTC, "2026-11-27T06:45:00Z"

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that were run: plain, then held."""
        return tuple(arm for arm in (self.plain, self.held) if arm is not None)


def row(value: Any) -> Any:
    """Return evidence, or a part of it, as plain values for JSON; times rounded to milliseconds."""
    if isinstance(value, ProbeResult):
        return value.row()
    if isinstance(value, Timers):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: row(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [row(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value
