"""websockets: a connection, sync and asyncio, its own pings off (they would keep the path open)."""

from __future__ import annotations

from inspect import signature
from typing import Any

from matrix.cells import Target
from matrix.drivers.base import Driver, on_asyncio


class Sync(Driver):
    needs = ("websockets",)
    socks_needs = ("python_socks",)
    # Through an HTTP proxy a WebSocket always makes a tunnel, with TLS or without.
    matrix = ("plain", "tls", "http-proxy", "connect-proxy", "socks", "pooled")
    bodies = ()
    server = "websocket"

    def _where(self, connect: Any) -> tuple[str, dict[str, Any]]:
        cell = self.cell
        options: dict[str, Any] = {}
        if "ping_interval" in signature(connect).parameters:  # before websockets 15 only asyncio had pings
            options["ping_interval"] = None
        if cell.proxy:  # before websockets 15 there was no such parameter
            options["proxy"] = cell.proxy
        if cell.scenario.tls:
            options["ssl"] = cell.context()
        return cell.url.replace("http", "ws", 1), options

    async def open(self) -> Target:
        from websockets.sync.client import connect

        url, options = self._where(connect)
        return connect(url, **options)

    async def fetch(self, target: Target) -> str:
        target.send("Take your time.")
        return target.recv()


class Asyncio(Sync):
    run = staticmethod(on_asyncio)

    async def open(self) -> Target:
        from websockets.asyncio.client import connect

        url, options = self._where(connect)
        return await connect(url, **options)

    async def fetch(self, target: Target) -> str:
        await target.send("Take your time.")
        return await target.recv()

    async def close(self, target: Target) -> None:
        await target.close()
