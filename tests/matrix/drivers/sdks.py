"""The SDKs of openai and anthropic, sync and async: one chat completion, one message."""

from __future__ import annotations

from typing import Any

from matrix.cells import MATRIX, Target
from matrix.drivers.base import Driver, on_asyncio
from matrix.server import ANSWER


class _Sdk(Driver):
    has_limit = True
    posts_with_a_retry = 2

    def _options(self, http_client: type[Any]) -> dict[str, Any]:
        options = {
            "base_url": self.cell.url,
            "api_key": "test",
            "max_retries": self.cell.scenario.retries,
            "timeout": self.cell.scenario.limit or 3600,
        }
        if (
            self.cell.scenario != MATRIX["plain"]
        ):  # where the SDK shows what it makes by itself, in 0.1 s of CPU
            options["http_client"] = http_client(verify=self.cell.context(), proxy=self.cell.proxy)
        return options


async def _close(target: Target) -> None:
    closing = target.close()
    if closing is not None:
        await closing


class OpenAI(_Sdk):
    needs = ("openai",)

    async def open(self) -> Target:
        import openai

        return openai.OpenAI(**self._options(openai.DefaultHttpxClient))

    @staticmethod
    def _ask(target: Target) -> Any:
        return target.chat.completions.create(
            model="slow-1", messages=[{"role": "user", "content": "Take your time."}]
        )

    async def fetch(self, target: Target) -> str:
        return self._text(self._ask(target))

    @staticmethod
    def _text(completion: Any) -> str:
        return ANSWER if completion.choices[0].message.content == "slept" else ""


class AsyncOpenAI(OpenAI):
    run = staticmethod(on_asyncio)

    async def open(self) -> Target:
        import openai

        return openai.AsyncOpenAI(**self._options(openai.DefaultAsyncHttpxClient))

    async def fetch(self, target: Target) -> str:
        return self._text(await self._ask(target))

    async def close(self, target: Target) -> None:
        await target.close()


class OpenAIOverAiohttp(AsyncOpenAI):
    needs = ("openai", "aiohttp")
    matrix = tuple(name for name in MATRIX if name != "socks")  # aiohttp has none

    async def open(self) -> Target:
        import openai

        options = self._options(openai.DefaultAioHttpClient)
        options.setdefault("http_client", openai.DefaultAioHttpClient())
        return openai.AsyncOpenAI(**options)


class Anthropic(_Sdk):
    needs = ("anthropic",)

    async def open(self) -> Target:
        import anthropic

        return anthropic.Anthropic(**self._options(anthropic.DefaultHttpxClient))

    @staticmethod
    def _ask(target: Target) -> Any:
        return target.messages.create(
            model="slow-1", max_tokens=10, messages=[{"role": "user", "content": "Take your time."}]
        )

    async def fetch(self, target: Target) -> str:
        return self._text(self._ask(target))

    @staticmethod
    def _text(message: Any) -> str:
        return ANSWER if message.content[0].text == "slept" else ""


class AsyncAnthropic(Anthropic):
    run = staticmethod(on_asyncio)

    async def open(self) -> Target:
        import anthropic

        return anthropic.AsyncAnthropic(**self._options(anthropic.DefaultAsyncHttpxClient))

    async def fetch(self, target: Target) -> str:
        return self._text(await self._ask(target))

    async def close(self, target: Target) -> None:
        await target.close()
