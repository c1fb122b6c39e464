"""litellm: one completion() in the manner of OpenAI's API, by httpx, and asynchronously by aiohttp."""

from __future__ import annotations

import os
from typing import Any

from matrix.cells import KEEPING, Target
from matrix.drivers.base import Sdk, on_asyncio
from matrix.server import ANSWER

_IDLE, _INTERVAL, _COUNT = KEEPING.split(":")


class Litellm(Sdk):
    needs = ("litellm", "openai")

    async def open(self) -> Target:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch one when it is imported
        import litellm  # noqa: F401  # takes seconds: not in the middle of a request
        import openai

        return openai.OpenAI(**self._options) if self.cell.variant == "held" else None

    @property
    def _options(self) -> dict[str, Any]:
        return {"api_key": "test", "base_url": self.cell.url, "max_retries": 0, "timeout": 3600}

    @property
    def _request(self) -> dict[str, Any]:
        return {
            "model": "openai/slow-1",
            "messages": [{"role": "user", "content": "Take your time."}],
            "api_base": self.cell.url,
            "api_key": "test",
            "max_retries": 0,
            "timeout": 3600,
        }

    async def fetch(self, target: Target) -> str:
        import litellm

        return self._text(litellm.completion(**self._request, client=target))

    @staticmethod
    def _text(response: Any) -> str:
        return ANSWER if response.choices[0].message.content == "slept" else ""

    async def close(self, target: Target) -> None:
        if target is not None:
            target.close()


class AsyncLitellm(Litellm):
    run = staticmethod(on_asyncio)
    ways = ("held", "installed", "own")
    environment = {  # noqa: RUF012
        "AIOHTTP_SO_KEEPALIVE": "true",
        "AIOHTTP_TCP_KEEPIDLE": _IDLE,
        "AIOHTTP_TCP_KEEPINTVL": _INTERVAL,
        "AIOHTTP_TCP_KEEPCNT": _COUNT,
    }

    async def open(self) -> Target:
        await super().open()
        import openai

        return openai.AsyncOpenAI(**self._options) if self.cell.variant == "held" else None

    async def fetch(self, target: Target) -> str:
        import litellm

        return self._text(await litellm.acompletion(**self._request, client=target))

    async def close(self, target: Target) -> None:
        if target is not None:
            await target.close()
