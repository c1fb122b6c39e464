"""Is a connection protected? What a timer that is seen, or options that were read, say about it.

Rule: pure, and honest: what cannot be told is None. The kernel shows one timer of a
connection at a time. If it is the keepalive timer, keepalive is on; if there is none, it
is off; any other hides it. And idle and interval are not shown at all: only asking the
socket itself tells them.
"""

from __future__ import annotations

#: Seconds. A keepalive timer that fires within them protects: the shortest idle timeout of a
#: common box that drops in silence is 240 s (Azure), and timers fire up to an eighth late.
SOON = 200

# The states in which an answer may still come. In others a keepalive timer may mean something
# else: FIN-WAIT-2 shows its own time-out as one (tcp_rcv_state_process() in tcp_input.c).
AWAITING = ("ESTABLISHED", "CLOSE-WAIT")


class Settings:
    """What a socket says of itself when asked. Times in seconds; a user timeout of None is off, too."""

    __slots__ = ("count", "idle", "interval", "keepalive", "user_timeout")

    def __init__(
        self,
        keepalive: bool | None = None,
        idle: int | None = None,
        interval: int | None = None,
        count: int | None = None,
        user_timeout: float | None = None,
    ) -> None:
        self.keepalive = keepalive
        self.idle = idle
        self.interval = interval
        self.count = count
        self.user_timeout = user_timeout


class Facts:
    """What is known about a connection beside its addresses, its owner and its countdown."""

    __slots__ = ("probes", "protected", "settings", "state", "timer")

    def __init__(
        self, state: str, timer: str, probes: int, protected: bool | None, settings: Settings
    ) -> None:
        self.state = state
        self.timer = timer
        self.probes = probes
        self.protected = protected
        self.settings = settings


def judge(state: str, timer: str, probes: int, *, late: bool = False, asked: Settings | None = None) -> Facts:
    """Return what *state* and *timer*, as shown, and *asked*, as read from the socket, amount to.

    late: the timer fires in more than SOON seconds. Where the socket could be asked, its
    idle and interval decide, instead of the timer.
    """
    settings = asked or Settings()
    protected = None
    if state in AWAITING:
        if asked is not None:
            protected = _protects(asked)
        elif timer in ("keepalive", "off"):
            settings = Settings(keepalive=timer == "keepalive")
            protected = timer == "keepalive" and not late
    return Facts(state, timer, probes, protected, settings)


def _protects(settings: Settings) -> bool | None:
    if settings.keepalive is None or settings.idle is None or settings.interval is None:
        return settings.keepalive and None  # off is certain, whatever the rest
    return settings.keepalive and settings.idle <= SOON and settings.interval <= SOON
