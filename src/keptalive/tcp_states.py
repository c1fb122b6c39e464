"""The states of a TCP connection, by the kernel's numbers (include/net/tcp_states.h).

Rule: names only, those of RFC 9293 where it has one.
"""

from __future__ import annotations

STATES = (
    "UNKNOWN", "ESTABLISHED", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
    "CLOSE", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "NEW-SYN-RECV",
)  # fmt: skip


def state_name(number: int) -> str:
    """Return the name of a state, "UNKNOWN" for a number that has none."""
    return STATES[number] if number < len(STATES) else "UNKNOWN"
