"""google-genai: one generate_content(), by httpx, and asynchronously by aiohttp."""

from __future__ import annotations

import json
from typing import Any

from matrix.cells import Target
from matrix.drivers.base import Sdk, on_asyncio
from matrix.server import ANSWER


class Genai(Sdk):
    needs = ("google.genai",)
    inner: Any = None  # the client that the SDK is given, where one is to be held

    @classmethod
    def answer(cls) -> str:
        return json.dumps({"candidates": [{"content": {"role": "model", "parts": [{"text": "slept"}]}}]})

    async def open(self) -> Target:
        import httpx
        from google import genai

        if self.cell.variant == "held":
            self.inner = httpx.Client(timeout=None, follow_redirects=True)
        options = {"base_url": self.cell.url, "httpx_client": self.inner}
        return genai.Client(api_key="test", http_options=options)

    def to_hold(self, target: Target) -> list[Any]:
        return [self.inner]

    async def fetch(self, target: Target) -> str:
        return self._text(target.models.generate_content(model="slow-1", contents="Take your time."))

    @staticmethod
    def _text(response: Any) -> str:
        return ANSWER if response.text == "slept" else ""


class AsyncGenai(Genai):
    needs = ("google.genai", "aiohttp")
    run = staticmethod(on_asyncio)

    async def open(self) -> Target:
        import aiohttp
        from google import genai

        if self.cell.variant == "held":
            self.inner = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None))
        options = {"base_url": self.cell.url, "aiohttp_client": self.inner}
        return genai.Client(api_key="test", http_options=options)

    async def fetch(self, target: Target) -> str:
        models = target.aio.models
        return self._text(await models.generate_content(model="slow-1", contents="Take your time."))

    async def close(self, target: Target) -> None:
        await target.aio.aclose()
        if self.inner is not None:
            await self.inner.close()
