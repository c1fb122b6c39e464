"""The SDKs of OpenAI and Anthropic: through the httpx client inside, whichever that is."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

import keptalive
from clients.servers import Origin, authority
from clients.world import LATER, POLICY, World, as_kernel, kernel, unprotected

OPENAI = {
    "path": "/chat/completions",
    "answer": {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        ],
    },
}
ANTHROPIC = {
    "path": "/v1/messages",
    "answer": {
        "id": "1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}
STREAM = ("text/event-stream", b"data: [DONE]\n\n")


class Sdk:
    """One of the two SDKs, synchronous or not."""

    def __init__(self, name: str, kind: str) -> None:
        self.sdk = pytest.importorskip(name)
        self.name = name
        self.sync = kind == "sync"
        self.kind = kind
        self.page = OPENAI if name == "openai" else ANTHROPIC

    def client(self, server: Origin, **options: Any) -> Any:
        """Return a client of the default kind; of the aiohttp kind if that is what is tested."""
        cls = {
            ("openai", True): "OpenAI",
            ("openai", False): "AsyncOpenAI",
            ("anthropic", True): "Anthropic",
            ("anthropic", False): "AsyncAnthropic",
        }[self.name, self.sync]
        if self.kind == "aiohttp":
            options.setdefault("http_client", self.sdk.DefaultAioHttpClient())
        options.setdefault("max_retries", 0)
        return getattr(self.sdk, cls)(api_key="x", base_url=server.url(""), timeout=30, **options)

    def ask(self, client: Any, **options: Any) -> Any:
        message = [{"role": "user", "content": "hello?"}]
        if self.name == "openai":
            return client.chat.completions.create(model="m", messages=message, **options)
        return client.messages.create(model="m", messages=message, max_tokens=9, **options)

    def text(self, answer: Any) -> str:
        return answer.choices[0].message.content if self.name == "openai" else answer.content[0].text


async def done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


SDKS = [(name, kind) for name in ("openai", "anthropic") for kind in ("sync", "async", "aiohttp")]


@pytest.fixture(params=SDKS, ids="-".join)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    made = Sdk(*request.param)
    if made.kind == "aiohttp":
        pytest.importorskip("aiohttp")
        if not hasattr(made.sdk, "DefaultAioHttpClient"):
            pytest.skip(f"{made.name} {made.sdk.__version__} has no DefaultAioHttpClient")
    return made


@pytest.fixture
def server(world: World, sdk: Sdk) -> Origin:
    world.origin.pages[str(sdk.page["path"])] = json.dumps(sdk.page["answer"]).encode()
    return world.origin


def run(main: Callable[[], Any]) -> None:
    async def then_wait() -> None:
        await main()
        await asyncio.sleep(0.01)  # aiohttp's transports close a turn later

    asyncio.run(then_wait())


def test_a_held_client(sdk: Sdk, server: Origin) -> None:
    """Every connection carries the policy, whatever the SDK itself would set."""

    async def main() -> None:
        client = sdk.client(server)
        assert sdk.text(await done(sdk.ask(client))) == "hello"
        before = kernel(server)
        assert unprotected(before) or (sdk.name == "anthropic" and before == [(1, 60, 60, 5)])
        assert keptalive.hold(client, POLICY) is client
        assert kernel(server) == [as_kernel(POLICY)]  # pooled before
        assert [state.idle for state in keptalive.read(client)] == [POLICY.idle]
        await done(client.close())

        client = keptalive.hold(sdk.client(server), POLICY)
        assert sdk.text(await done(sdk.ask(client))) == "hello"
        assert kernel(server) == [as_kernel(POLICY)]
        await done(sdk.ask(client.with_options(timeout=20)))
        assert kernel(server) == [as_kernel(POLICY)]
        keptalive.hold(client, LATER)
        assert kernel(server) == [as_kernel(LATER)]
        await done(client.close())

    run(main)


def test_the_default_policy(sdk: Sdk, server: Origin) -> None:
    """anthropic's 60 s of idle time are longer than ours: the default policy replaces them."""

    async def main() -> None:
        client = keptalive.hold(sdk.client(server))
        await done(sdk.ask(client))
        assert kernel(server) == [as_kernel(keptalive.Policy())]
        await done(client.close())

    run(main)


def test_retries_are_the_sdks_own(sdk: Sdk, server: Origin) -> None:
    """As many requests as were asked for, all over covered connections: one, or one more after a 503."""

    async def main() -> None:
        for retries in (0, 2):
            server._met.clear()
            server.requests.clear()
            client = keptalive.hold(sdk.client(server, max_retries=retries), POLICY)
            try:
                assert await done(client.post("/busy", cast_to=object, body={})) == "hello"
                assert retries
            except sdk.sdk.APIStatusError:
                assert not retries
            assert len(server.requests) == 1 + bool(retries)
            assert kernel(server) == [as_kernel(POLICY)]
            await done(client.close())

    run(main)


def test_streams_and_raw_responses(sdk: Sdk, server: Origin) -> None:
    """What is being read can be read back, and held by itself."""
    server.pages[str(sdk.page["path"])] = STREAM

    async def main() -> None:
        client = sdk.client(server)
        stream = await done(sdk.ask(client, stream=True))
        if sdk.kind != "aiohttp":  # shows no network stream
            keptalive.hold(stream, POLICY)
            assert kernel(server) == [as_kernel(POLICY)]
            assert [state.idle for state in keptalive.read(stream)] == [POLICY.idle]
        await done(stream.close())
        assert keptalive.read(stream) == []
        await done(client.close())

    run(main)


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if sdk[1] != "aiohttp"], ids="-".join, indirect=True)
def test_clients_of_ones_own(sdk: Sdk, world: World, server: Origin) -> None:
    """A client given as http_client=, of httpx2 or of httpx, is the one that is held."""

    async def main() -> None:
        tried = 0
        for library in ("httpx2", "httpx"):
            httpx = pytest.importorskip(library)
            try:
                own = (httpx.Client if sdk.sync else httpx.AsyncClient)(proxy=world.proxy.url(""))
                client = sdk.client(server, http_client=own)
            except TypeError:  # this SDK takes the other library's only
                await done(own.close() if sdk.sync else own.aclose())
                continue
            tried += 1
            keptalive.hold(client, POLICY)
            assert sdk.text(await done(sdk.ask(client))) == "hello"
            assert kernel(world.proxy) == [as_kernel(POLICY)]
            await done(client.close())
        assert tried

    run(main)


def test_default_clients_of_the_sdk(sdk: Sdk, server: Origin) -> None:
    """The SDK's own httpx client classes can be held before they are handed over."""
    name = {
        "sync": "DefaultHttpxClient",
        "async": "DefaultAsyncHttpxClient",
        "aiohttp": "DefaultAioHttpClient",
    }
    own = keptalive.hold(getattr(sdk.sdk, name[sdk.kind])(verify=authority().client()), POLICY)

    async def main() -> None:
        client = sdk.client(server, http_client=own)
        await done(sdk.ask(client))
        assert kernel(server) == [as_kernel(POLICY)]
        await done(client.close())

    run(main)


def test_other_objects_stay_unknown(sdk: Sdk, server: Origin) -> None:
    """A resource of a client is none: hold the client."""

    async def main() -> None:
        client = sdk.client(server)
        with pytest.raises(keptalive.UnknownTarget):
            keptalive.hold(client.models if hasattr(client, "models") else client.messages)
        await done(client.close())

    run(main)
