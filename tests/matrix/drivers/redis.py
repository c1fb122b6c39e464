"""redis: a client that waits for something to be put into a list."""

from __future__ import annotations

import socket

from matrix.cells import KEEPING, Target
from matrix.drivers.base import Sdk


class Redis(Sdk):
    needs = ("redis",)
    server = "redis"
    ways = ("installed", "own")
    by_itself = "30:5:3"

    async def open(self) -> Target:
        import redis

        idle, interval, count = map(int, KEEPING.split(":"))
        options = {socket.TCP_KEEPIDLE: idle, socket.TCP_KEEPINTVL: interval, socket.TCP_KEEPCNT: count}
        own = {"socket_keepalive": True, "socket_keepalive_options": options}
        return redis.Redis(
            self.cell.host,
            self.cell.origin_port,
            socket_timeout=None,
            **(own if self.cell.variant == "own" else {}),
        )

    async def fetch(self, target: Target) -> str:
        return target.blpop("queue", timeout=0)[1].decode()
