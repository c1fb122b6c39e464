"""When to probe an idle connection, and when to call it dead.

Rule: pure. No socket, no operating system, no environment; all times are
seconds. What an operating system can hold is checked where options are
applied (`sockets.apply`), from the table in `platforms`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

from keptalive.errors import PolicyError

# Keepalive timers sit on the kernel's timer wheel, whose slots widen with the
# distance: up to an eighth late (kernel/time/timer.c, "Level 1 ... granularity").
TIMER_LATENESS = 0.125

# RFC 1122, 4.2.3.6: the default idle time must be no less than two hours. Every
# OS keeps to it, so a longer idle would never be asked for to keep a path open.
LONGEST_IDLE = 7200

_LARGEST = 2**31 - 1  # setsockopt(2) takes a C int, on every system


@dataclass(frozen=True)
class Policy:
    """Probe after `idle` seconds of silence, then each `interval`; give up after `count` unanswered.

    idle: 45 s. Late by an eighth it still fires before the shortest box that
        drops in silence and is common, 60 s; Azure's 240 s and AWS's 350 s are far.
    interval: 15 s, between unanswered probes. No longer than idle, so that a lost
        probe is repeated well within the same minute.
    count: 9, Linux's own. 9 x 15 s outlive an outage of two minutes; fewer would
        end requests that silence would have kept.
    user_timeout: off. Seconds that sent data may stay unacknowledged
        (TCP_USER_TIMEOUT, RFC 5482). It ends a dead upload in less than the
        kernel's quarter of an hour, but also kills a healthy one to a server that
        stops reading for so long, and it overrides `count`.

    Raises PolicyError (a ValueError) for values that cannot work on any system.
    """

    idle: int = 45
    interval: int = 15
    count: int = 9
    user_timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no kernel could do."""
        for field in ("idle", "interval", "count"):
            object.__setattr__(self, field, _whole(field, getattr(self, field)))
        if self.interval > self.idle:
            raise PolicyError(
                f"interval {self.interval} s is longer than idle {self.idle} s: after an answered probe the "
                f"kernel waits for the longer of the two, so the path would be silent for {self.interval} s; "
                f"make interval at most idle"
            )
        if self.user_timeout is not None:
            object.__setattr__(self, "user_timeout", _seconds("user_timeout", self.user_timeout))

    @classmethod
    def for_idle_timeout(cls, seconds: float) -> Policy:
        """Return the policy that keeps a path open which forgets connections idle for *seconds*.

        idle = T/3 and interval = T/10, rounded down to whole seconds (1 at least):
        three probes have left before 0.6 T even when every timer fires late, so two
        may be lost. Never "T minus one". Raises PolicyError below 1.5 s, where the
        kernel's shortest idle of one second comes too late to be sure.
        """
        timeout = _seconds("idle timeout", seconds)
        if timeout < 1.5:
            raise PolicyError(
                f"no keepalive can hold a path that forgets after {timeout:g} s: the shortest idle is 1 s, "
                f"and timers fire up to an eighth late"
            )
        timeout = min(timeout, 3.0 * LONGEST_IDLE)
        return cls(idle=max(1, int(timeout / 3)), interval=max(1, int(timeout / 10)), count=9)

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read "IDLE:INTERVAL:COUNT[:USER_TIMEOUT]" in seconds, what `str()` writes. Raises PolicyError."""
        parts = text.strip().split(":")
        if len(parts) not in (3, 4):
            raise PolicyError(
                f"{text!r} is not a policy: write IDLE:INTERVAL:COUNT[:USER_TIMEOUT] in seconds, e.g. 60:15:9"
            )
        numbers = []
        for name, part in zip(("idle", "interval", "count", "user_timeout"), parts, strict=False):
            try:
                numbers.append(float(part) if name == "user_timeout" else int(part))
            except ValueError:
                raise PolicyError(f"{part!r} is not a number of seconds for {name} in {text!r}") from None
        return cls(*numbers)  # type: ignore[arg-type]  # the first three are int

    def __str__(self) -> str:
        text = f"{self.idle}:{self.interval}:{self.count}"
        if self.user_timeout is None:
            return text
        short = f"{self.user_timeout:g}"  # where that is exact
        return f"{text}:{short if float(short) == self.user_timeout else self.user_timeout}"

    @property
    def detection_time(self) -> float:
        """Seconds from the last sign of life to the error, on an idle connection whose path died.

        idle + interval x count; with a user timeout, the first unanswered probe at or
        after it (tcp_keepalive_timer() in net/ipv4/tcp_timer.c: count no longer counts).
        Timers may fire an eighth late on top. Data in flight is another matter: then
        no probe is sent, and the kernel's retransmission limit rules (about 15 min).
        """
        if self.user_timeout is None:
            return float(self.idle + self.interval * self.count)
        probes = max(1, math.ceil((self.user_timeout - self.idle) / self.interval))
        return float(self.idle + self.interval * probes)


def checked(policy: object) -> Policy:
    """Return *policy* if it is one; else raise PolicyError: text is the natural slip, and one call away."""
    if isinstance(policy, Policy):
        return policy
    raise PolicyError(
        f"{policy!r} is no Policy: write keptalive.Policy(idle=60, interval=15, count=9), "
        f'or keptalive.Policy.parse("60:15:9") for text'
    )


def _whole(field: str, value: Any) -> int:
    """Return *value* as an int, if it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise PolicyError(f"{field} must be a whole number, not {value!r}")
    if value < 1:
        raise PolicyError(f"{field} must be at least 1, not {value!r}")
    if value > _LARGEST:
        raise PolicyError(f"{field} must be at most {_LARGEST}")
    return int(value)


def _seconds(field: str, value: Any) -> float:
    """Return *value* as a float, if it is a finite time of at least a millisecond."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PolicyError(f"{field} must be a number of seconds, not {value!r}")
    if not 0.001 <= value <= sys.float_info.max:
        raise PolicyError(f"{field} must be finite and at least 0.001 s, not {value!r}")
    return float(value)
