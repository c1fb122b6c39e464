"""httpx and its successor httpx2, sync and on each event loop."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from matrix.cells import Target
from matrix.drivers.base import Driver, on_asyncio, on_trio, on_uvloop


class _Base(Driver):
    has_limit = True
    library: ClassVar[str] = "httpx"
    socks_needs = ("socksio",)
    retries_after = "refuse"  # the only retry it has is that of a connect
    posts_with_a_retry = 1

    def _options(self, transport: str) -> dict[str, Any]:
        verify = self.cell.context()
        options: dict[str, Any] = {
            "verify": verify,
            "timeout": self.cell.scenario.limit,
            "follow_redirects": True,
            "proxy": self.cell.proxy,
        }
        if self.cell.scenario.retries:
            cls = getattr(import_module(self.library), transport)
            options["transport"] = cls(verify=verify, retries=self.cell.scenario.retries)
        return options


class Httpx(_Base):
    needs = ("httpx",)

    async def open(self) -> Target:
        return import_module(self.library).Client(**self._options("HTTPTransport"))

    async def fetch(self, target: Target) -> str:
        return target.request(self.method, f"{self.cell.url}/").raise_for_status().text


class HttpxAsyncio(_Base):
    needs = ("httpx",)
    run = staticmethod(on_asyncio)

    async def open(self) -> Target:
        return import_module(self.library).AsyncClient(**self._options("AsyncHTTPTransport"))

    async def fetch(self, target: Target) -> str:
        return (await target.request(self.method, f"{self.cell.url}/")).raise_for_status().text

    async def close(self, target: Target) -> None:
        await target.aclose()


class HttpxTrio(HttpxAsyncio):
    needs = ("httpx", "trio")
    run = staticmethod(on_trio)


class HttpxUvloop(HttpxAsyncio):
    needs = ("httpx", "uvloop")
    run = staticmethod(on_uvloop)


class Httpx2(Httpx):
    library = "httpx2"
    needs = ("httpx2",)


class Httpx2Asyncio(HttpxAsyncio):
    library = "httpx2"
    needs = ("httpx2",)


class Httpx2Trio(HttpxTrio):
    library = "httpx2"
    needs = ("httpx2", "trio")


class Httpx2Uvloop(HttpxUvloop):
    library = "httpx2"
    needs = ("httpx2", "uvloop")
