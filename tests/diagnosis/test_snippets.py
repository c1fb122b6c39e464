"""The code that a diagnosis offers: it runs, it holds, and it waits for as long as a slow answer takes."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

import pytest

import keptalive
from keptalive.diagnosis.remedies import MEANINGS
from keptalive.diagnosis.snippets import code_for
from keptalive.policy import Policy

#: client -> (what to import, the limit of what the code makes)
LIMITS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], object]]] = {
    "httpx": (("httpx",), lambda made: made["client"].timeout.read),
    "aiohttp": (("aiohttp",), lambda made: made["session"].timeout.total),
    "urllib3": (("urllib3",), lambda made: made["pools"].connection_pool_kw["timeout"]),
    "http.client": (("http.client",), lambda made: made["connection"].timeout),
    "boto3": (("boto3",), lambda made: made["client"].meta.config.read_timeout),
    "openai": (("openai",), lambda made: made["client"].timeout),
}


@pytest.mark.parametrize("client", LIMITS)
@pytest.mark.parametrize(("waited", "limit"), [(13.0, 900), (1234.5, 2500)])
def test_the_code_waits_longer_than_the_answer_took(
    client: str, waited: float, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's own limit ends a slow request that keepalive holds; and none waits for ever."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "eu-central-1")  # without keys boto3 asks the network for some
    libraries, limit_of = LIMITS[client]
    names: dict[str, Any] = {"keptalive": keptalive, "host": "server.example"}
    for library in libraries:
        pytest.importorskip(library)
        names[library.partition(".")[0]] = importlib.import_module(library.partition(".")[0])
    if client == "boto3":
        names["Config"] = importlib.import_module("botocore.config").Config
    code = code_for(Policy(60, 60, 9), waited)

    async def run() -> object:  # aiohttp makes sessions on a loop
        exec(f"{code['first']}\n{code[client]}", names)
        found = limit_of(names)
        if client == "aiohttp":
            await names["session"].close()
        return found

    assert asyncio.run(run()) == limit


def test_step_and_code_agree() -> None:
    """The step asks for a read timeout, and no line of the code takes it away."""
    assert any("a read timeout" in step.what for step in MEANINGS["forgotten-silently"].steps)
    assert not [line for line in code_for(Policy()).values() if "timeout=None" in line]
