"""gRPC: channel options, because a channel cannot be changed once it is made.

Rule: gRPC's C core owns its sockets and shows them to nobody; it takes keepalive as
arguments of a new channel, and sends HTTP/2 pings, not TCP probes.
"""

from __future__ import annotations

import math
from typing import Any

from keptalive.cover import Cover
from keptalive.environment import chosen, switched_off
from keptalive.errors import Uncovered
from keptalive.policy import Policy


def channel_options(policy: Policy | None = None) -> list[tuple[str, int]]:
    """Return *policy* as the nearest channel arguments, for `grpc.insecure_channel(target, options=...)`.

    Only for servers that are set up for it. They are pings of HTTP/2, not probes of the
    kernel, and a server with gRPC's own defaults allows one in five minutes: to the
    third that comes sooner it answers GOAWAY "too_many_pings", which ENDS the call with
    UNAVAILABLE after about four times `policy.idle` seconds. On the server, set
    `grpc.http2.min_ping_interval_without_data_ms`; or give a policy with idle = 300; or
    use `keptalive run`, whose probes no server sees.

    One ping is sent after each `policy.idle` seconds of silence in a call, and the
    connection is closed if no answer comes for `interval x count` seconds, or for the
    user timeout if the policy has one. gRPC sets TCP_USER_TIMEOUT to the same time (its
    proposal A18): data that stays unacknowledged for so long ends the connection too.
    `max_pings_without_data` = 0 lifts the limit of two pings, after which gRPC would fall
    silent in a long call; `permit_without_calls` stays off, since an idle channel
    reconnects by itself. Empty under KEPTALIVE_POLICY=off. See
    https://github.com/grpc/grpc/blob/master/doc/keepalive.md.
    """
    if switched_off():
        return []
    policy = chosen(policy)
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
        "a gRPC channel cannot be changed after it is made: start the program with `keptalive run` or, if "
        "its server allows pings, pass keptalive.clients.grpc.channel_options() as the channel's options"
    )


def sockets(target: Any) -> list[Any]:
    """Return nothing: gRPC does not show its sockets; `keptalive ps` does."""
    return []
