"""When Linux gives up what it has sent and nobody acknowledges: the figures of net/ipv4/tcp_timer.c.

Rule: pure, seconds. The limit is a time, not a number of packets: `tcp_retries2` says after how many
retransmissions, at the shortest RTO, it is over. It is looked at when a retransmission is due, so the end
comes with the first that is due at or after the limit.
"""

from __future__ import annotations

from math import floor, log2

RTO_MIN = 0.2  # TCP_RTO_MIN, include/net/tcp.h
RTO_MAX = 120.0  # TCP_RTO_MAX
#: Timers sit on a wheel whose slots widen with the distance (kernel/time/timer.c).
LATENESS = 1.125

DEFAULT_RETRIES = 15  # TCP_RETR2: net.ipv4.tcp_retries2 unless somebody changes it
DEFAULT_SYN_RETRIES = 6  # TCP_SYN_RETRIES: net.ipv4.tcp_syn_retries
SYN_TIMEOUT = 1.0  # TCP_TIMEOUT_INIT


def model_timeout(retries: int, rto: float = RTO_MIN) -> float:
    """Return what tcp_model_timeout() makes of *retries*: the sum of so many doubled, bounded waits."""
    doubled = floor(log2(RTO_MAX / rto))
    if retries <= doubled:
        return float((2 << retries) - 1) * rto
    return float((2 << doubled) - 1) * rto + (retries - doubled) * RTO_MAX


def latest_end(retries: int, rto: float = RTO_MIN) -> float:
    """Return when a connection has ended at the latest, from its first unacknowledged segment on.

    *rto* is the longest that the connection's own may be at first; it grows with the round trip. The limit
    is counted at the shortest, from the first retransmission on (retransmits_timed_out()), before which
    there may be a tail loss probe. One that is due just before the limit doubles the wait once more.
    """
    limit, first = model_timeout(retries), max(rto, RTO_MIN)
    last_wait = min(limit + 2 * first, RTO_MAX)
    return first + (first + limit + last_wait) * LATENESS


def latest_end_of_connect(retries: int) -> float:
    """Return when connect() has given up at the latest: `tcp_syn_retries` doubled waits from a second on.

    From Linux 6.5 on the first waits are all of a second (tcp_syn_linear_timeouts), which is sooner.
    """
    return model_timeout(retries, SYN_TIMEOUT) * LATENESS
