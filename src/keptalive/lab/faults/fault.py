"""What all faults are made of: how they are read and written, and which engines can do them.

Rule: a fault is a frozen value that says what goes wrong; how it is done is the engines' business.
It is written NAME:PARAMETERS, or NAME@TIMES for what happens at a moment. The clock of every @TIME starts
with the first packet of the first connection through the firewall, so the time that a program takes to
start is not part of it. Times are in seconds unless a fault says otherwise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

from keptalive.errors import LabError

LONGEST = 1_000_000.0  # s, eleven days: below what connection tracking takes on any kernel (2^31 ticks)
_FINEST = 1e-3  # s: what a time is rounded to when it is scaled

Kind = TypeVar("Kind", bound="Fault")


@dataclass(frozen=True)
class Fault(ABC):
    """One thing that goes wrong."""

    name: ClassVar[str]
    syntax: ClassVar[str]
    #: The engines that can do it, the most faithful first.
    engines: ClassVar[tuple[str, ...]]
    #: It ends, or breaks, a flow that was idle for some time: of these a firewall has one.
    expires: ClassVar[bool] = False
    #: It makes sense to have it more than once.
    repeats: ClassVar[bool] = False
    #: The fields that are times in seconds, which scaled() divides.
    times: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def parse(cls: type[Kind], parameters: str) -> Kind:
        """Read what is written behind the name; raises LabError."""

    @abstractmethod
    def __str__(self) -> str: ...

    def refusal(self, engine: str) -> str | None:
        """Say in a sentence why *engine* cannot do this; None if it can."""
        if engine not in self.engines:
            return f"{self.name} is for the {' or '.join(self.engines)} engine, not for the {engine} engine"
        return None

    def scaled(self: Kind, speed: float) -> Kind:
        """Return the same with its times divided by *speed*, to a thousandth of a second."""
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in self.times and value:  # neither None nor the start of the clock
                changes[field.name] = max(_FINEST, round(value / speed, 3))
        return replace(self, **changes)


@dataclass(frozen=True)
class AfterIdle(Fault):
    """A fault that meets a flow after *seconds* of silence; NAME:SECONDS."""

    expires: ClassVar[bool] = True
    times: ClassVar[tuple[str, ...]] = ("seconds",)
    #: What ends the silence: any packet of either side, keepalive probes too; or bytes of the stream alone.
    counts: ClassVar[str] = "packets"

    seconds: float

    @classmethod
    def parse(cls: type[Kind], parameters: str) -> Kind:
        """Read SECONDS; raises LabError."""
        return cls(seconds(parameters, cls.syntax))  # type: ignore[call-arg]

    def __str__(self) -> str:
        return f"{self.name}:{written(self.seconds)}"

    def refusal(self, engine: str) -> str | None:
        """Say why *engine* cannot do this; None if it can."""
        refused = super().refusal(engine)
        if refused is None and engine == "kernel" and self.seconds % 1:
            # net.netfilter.nf_conntrack_tcp_timeout_established is a number of seconds.
            return f"connection tracking counts whole seconds, not {self.seconds:g}"
        return refused


@dataclass(frozen=True)
class Moment(Fault):
    """A fault that begins at a time and ends at another, None: never; NAME@START[-END]."""

    repeats: ClassVar[bool] = True
    times: ClassVar[tuple[str, ...]] = ("start", "end")

    start: float
    end: float | None = None

    @classmethod
    def parse(cls: type[Kind], parameters: str) -> Kind:
        """Read START[-END]; raises LabError."""
        first, dash, last = parameters.partition("-")
        start = seconds(first, cls.syntax, least=0.0)
        end = seconds(last, cls.syntax) if dash else None
        if end is not None and end <= start:
            raise LabError(f"{cls.syntax} needs an end after its start, not {parameters!r}")
        return cls(start, end)  # type: ignore[call-arg]

    def __str__(self) -> str:
        return f"{self.name}@{written(self.start)}" + ("" if self.end is None else f"-{written(self.end)}")

    def on(self, clock: float) -> bool:
        """Tell whether it is on, *clock* seconds after the first packet."""
        return self.start <= clock and (self.end is None or clock < self.end)


def seconds(text: str, syntax: str, least: float | None = None) -> float:
    """Read a number of seconds above zero, or from *least* on; raises LabError that shows the syntax."""
    value = number(text)
    above = value > 0 if least is None else value >= least
    if not (above and value <= LONGEST):
        bound = "above zero" if least is None else f"from {least:g} on"
        raise LabError(f"{syntax} needs a number of seconds {bound} (at most {LONGEST:.0f}), not {text!r}")
    return value


def number(text: str) -> float:
    """Read a number; nan for what is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def written(value: float) -> str:
    """Write a number so that it is read as the same: the short way where that is exact.

    Without an exponent, whose minus would look like that of START-END.
    """
    short = f"{value:g}"
    text = short if float(short) == value else repr(value)
    if "e" in text:
        from decimal import Decimal  # takes longer to import than the whole package

        return f"{Decimal(text):f}"
    return text
