"""gRPC: channel options, because a channel cannot be changed once it is made.

Rule: gRPC's C core owns its sockets and shows them to nobody; it takes keepalive as
arguments of a new channel, and sends HTTP/2 pings, not TCP probes.
"""

from __future__ import annotations

import math
from typing import Any

from keptalive.cover import Cover
from keptalive.environment import default_policy, switched_off
from keptalive.errors import Uncovered
from keptalive.policy import Policy


def channel_options(policy: Policy | None = None) -> list[tuple[str, int]]:
    """Return *policy* as the nearest channel arguments, for `grpc.insecure_channel(target, options=...)`.

    What they do differs from TCP keepalive:

    - a ping is an HTTP/2 frame. It crosses TLS-terminating proxies no better than a TCP
      probe, but it also shows that the server's gRPC is alive, and it is answered in
      user space.
    - one is sent every `policy.idle` seconds, and the connection is closed when no
      answer comes for `interval x count` seconds: a single lost ping is repeated by
      TCP, not by gRPC.
    - gRPC sets TCP_USER_TIMEOUT to the same time (gRFC A18), so that sent data which
      stays unacknowledged for so long also ends the connection.
    - a server may refuse: one that allows a ping every five minutes only (gRPC's own
      default, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS) answers more with
      GOAWAY "too_many_pings", gRPC then reconnects and doubles its ping time. Ask for
      `grpc.http2.min_ping_interval_without_data_ms` on the server side.

    `grpc.http2.max_pings_without_data` = 0 lifts the limit of two pings, after which gRPC
    would fall silent in the middle of a long call; `permit_without_calls` stays off, as an
    idle channel reconnects by itself. Empty under KEPTALIVE_POLICY=off. See
    https://github.com/grpc/grpc/blob/master/doc/keepalive.md.
    """
    if switched_off():
        return []
    policy = policy or default_policy()
    patience = policy.user_timeout or policy.interval * policy.count
    return [
        ("grpc.keepalive_time_ms", policy.idle * 1000),
        ("grpc.keepalive_timeout_ms", math.ceil(patience * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 0),
    ]


def serves(target: object) -> bool:
    """Tell whether *target* is a channel, plain or of grpc.aio."""
    return hasattr(target, "unary_unary")


def hold(target: Any, cover: Cover) -> None:
    """Raise Uncovered."""
    raise Uncovered(
        "a gRPC channel cannot be changed after it is made: pass keptalive.clients.grpc.channel_options() "
        "as its options, or start the program with `keptalive run`"
    )


def sockets(target: Any) -> list[Any]:
    """Return nothing: gRPC does not show its sockets; `keptalive ps` does."""
    return []
