"""azure-storage-blob on azure-core: what the account is, by requests, and asynchronously by aiohttp."""

from __future__ import annotations

from typing import Any

from matrix.cells import Target
from matrix.drivers.base import Sdk, on_asyncio
from matrix.server import ANSWER


class Blobs(Sdk):
    needs = ("azure.storage.blob", "requests")
    answer_headers = "x-ms-sku-name: slept\r\nx-ms-account-kind: StorageV2"
    transport: Any = None

    @classmethod
    def answer(cls) -> str:
        return ""

    async def open(self) -> Target:
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import BlobServiceClient

        self.transport = RequestsTransport(read_timeout=3600)
        self.transport.open()
        return BlobServiceClient(self.cell.url, transport=self.transport, retry_total=0)

    def to_hold(self, target: Target) -> list[Any]:
        return [self.transport.session]

    async def fetch(self, target: Target) -> str:
        return ANSWER if target.get_account_information()["sku_name"] == "slept" else ""


class AsyncBlobs(Blobs):
    needs = ("azure.storage.blob", "aiohttp")
    run = staticmethod(on_asyncio)

    async def open(self) -> Target:
        from azure.core.pipeline.transport import AioHttpTransport
        from azure.storage.blob.aio import BlobServiceClient

        self.transport = AioHttpTransport(read_timeout=3600)
        await self.transport.open()
        return BlobServiceClient(self.cell.url, transport=self.transport, retry_total=0)

    async def fetch(self, target: Target) -> str:
        return ANSWER if (await target.get_account_information())["sku_name"] == "slept" else ""

    async def close(self, target: Target) -> None:
        await target.close()
