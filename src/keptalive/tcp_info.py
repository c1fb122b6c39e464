"""struct tcp_info, decoded by its length.

Rule: pure; bytes in, names out. The kernel only ever appends to the struct
(include/uapi/linux/tcp.h), so a field that an older kernel did not send is
None, never zero. Times are seconds, converted here and nowhere else.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from keptalive.tcp_states import state_name

#: Bytes to ask getsockopt(TCP_INFO) for: room for more than any kernel sends today.
SIZE = 512

_MS, _US = 1e-3, 1e-6

# name, offset, struct code, factor (None: a plain number). Offsets from linux/tcp.h.
_LAYOUT: tuple[tuple[str, int, str, float | None], ...] = (
    ("retransmits", 2, "B", None),
    ("probes", 3, "B", None),
    ("backoff", 4, "B", None),
    ("rto", 8, "I", _US),
    ("unacked", 24, "I", None),
    ("lost", 32, "I", None),
    ("last_data_sent", 44, "I", _MS),
    ("last_data_recv", 52, "I", _MS),
    ("last_ack_recv", 56, "I", _MS),
    ("rtt", 68, "I", _US),
    ("total_retrans", 100, "I", None),
    ("bytes_acked", 120, "Q", None),
    ("bytes_received", 128, "Q", None),
    ("segs_out", 136, "I", None),
    ("segs_in", 140, "I", None),
    ("notsent_bytes", 144, "I", None),
)


class TcpInfo(NamedTuple):
    """What the kernel says about one TCP connection; None where this kernel is silent."""

    state: str
    retransmits: int | None = None  # of the segment in flight now
    probes: int | None = None  # unanswered keepalive or window probes
    backoff: int | None = None
    rto: float | None = None  # s
    unacked: int | None = None  # segments sent and not acknowledged
    lost: int | None = None
    last_data_sent: float | None = None  # s ago
    last_data_recv: float | None = None  # s ago
    last_ack_recv: float | None = None  # s ago; answers to probes count, a peer's own probes do not
    rtt: float | None = None  # s
    total_retrans: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    segs_out: int | None = None
    segs_in: int | None = None
    notsent_bytes: int | None = None


def parse(data: bytes) -> TcpInfo:
    """Decode what getsockopt(TCP_INFO) returned; any length, even none at all."""
    if not data:
        return TcpInfo("UNKNOWN")
    values: dict[str, float | None] = {}
    for name, offset, code, factor in _LAYOUT:
        if offset + struct.calcsize(code) > len(data):
            break
        (value,) = struct.unpack_from("=" + code, data, offset)
        values[name] = value if factor is None else value * factor
    return TcpInfo(state_name(data[0]), **values)  # type: ignore[arg-type]  # names come from the layout above
