"""elasticsearch: one search, by urllib3; asynchronously by aiohttp, held by httpx."""

from __future__ import annotations

from matrix.cells import Target
from matrix.drivers.base import Sdk, on_asyncio
from matrix.server import ANSWER


class Elastic(Sdk):
    needs = ("elasticsearch",)
    answer_headers = "Content-Type: application/json\r\nX-Elastic-Product: Elasticsearch"

    async def open(self) -> Target:
        import elasticsearch

        return elasticsearch.Elasticsearch(self.cell.url, request_timeout=3600, max_retries=0)

    async def fetch(self, target: Target) -> str:
        return ANSWER if target.search(index="slow")["end"] == "slept" else ""


class AsyncElastic(Elastic):
    needs = ("elasticsearch", "aiohttp", "httpx")
    run = staticmethod(on_asyncio)

    async def open(self) -> Target:
        import elasticsearch

        node_class = {"node_class": "httpxasync"} if self.cell.variant == "held" else {}
        return elasticsearch.AsyncElasticsearch(
            self.cell.url, request_timeout=3600, max_retries=0, **node_class
        )

    async def fetch(self, target: Target) -> str:
        return ANSWER if (await target.search(index="slow"))["end"] == "slept" else ""

    async def close(self, target: Target) -> None:
        await target.close()
