"""aiohttp: a ClientSession, on asyncio and on uvloop. Its SOCKS comes from aiohttp_socks."""

from __future__ import annotations

from matrix.cells import Target
from matrix.drivers.base import Driver, on_asyncio, on_uvloop


class Aiohttp(Driver):
    has_limit = True
    needs = ("aiohttp",)
    socks_needs = ("aiohttp_socks",)
    run = staticmethod(on_asyncio)
    retries_after = "drop"  # of an idempotent request whose connection was closed; it cannot be set
    posts_with_a_retry = 1

    async def open(self) -> Target:
        import aiohttp

        context = self.cell.context()
        if self.cell.scenario.proxy == "socks":
            from aiohttp_socks import ProxyConnector

            connector = ProxyConnector.from_url(self.cell.proxy, ssl=context)
        else:
            connector = aiohttp.TCPConnector(ssl=context)
        limit = aiohttp.ClientTimeout(total=self.cell.scenario.limit)
        return aiohttp.ClientSession(connector=connector, timeout=limit)

    async def fetch(self, target: Target) -> str:
        proxy = self.cell.proxy if self.cell.scenario.proxy == "proxy" else None
        async with target.request(
            self.method, f"{self.cell.url}/", proxy=proxy, raise_for_status=True
        ) as response:
            return await response.text()

    async def close(self, target: Target) -> None:
        await target.close()


class AiohttpUvloop(Aiohttp):
    needs = ("aiohttp", "uvloop")
    run = staticmethod(on_uvloop)
