"""kubernetes: through the pool manager of an ApiClient, whatever is made with it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import keptalive
from clients.world import LATER, POLICY, World, as_kernel, kernel, unprotected

pytestmark = pytest.mark.sdks

_VERSION = ("major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler")


@pytest.fixture
def api_client(world: World) -> Any:
    client = pytest.importorskip("kubernetes.client")
    world.origin.pages["/version/"] = json.dumps(dict.fromkeys((*_VERSION, "platform"), "0")).encode()
    with client.ApiClient(client.Configuration(host=world.origin.url(""))) as api_client:
        yield api_client
        # kubernetes 29 leaves it open
        api_client.rest_client.pool_manager.connection_from_url(world.origin.url("")).close()


def _ask(api_client: Any) -> None:
    from kubernetes import client

    assert client.VersionApi(api_client).get_code().git_version == "0"


def test_an_api_client(api_client: Any, world: World) -> None:
    """What is pooled already is covered, read() shows it, and another policy replaces the first."""
    _ask(api_client)
    assert unprotected(kernel(world.origin))

    assert keptalive.hold(api_client, POLICY) is api_client
    _ask(api_client)
    assert kernel(world.origin) == [as_kernel(POLICY)]
    assert [state.idle for state in keptalive.read(api_client)] == [POLICY.idle]

    keptalive.hold(api_client, LATER)
    assert kernel(world.origin) == [as_kernel(LATER)]


@pytest.mark.parametrize("made", ["VersionApi", "CoreV1Api", "DynamicClient"])
def test_what_is_made_with_an_api_client(made: str, api_client: Any, world: World) -> None:
    """Holding it is holding the client that it was made with."""
    from kubernetes import client, dynamic

    if made == "DynamicClient":
        made_with = object.__new__(dynamic.DynamicClient)  # a real one asks for all that the cluster has
        made_with.client = api_client
    else:
        made_with = getattr(client, made)(api_client)
    keptalive.hold(made_with, POLICY)

    _ask(api_client)
    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_kubernetes_aio_is_refused() -> None:
    """Its session is not there yet; the message says what to do."""
    client = pytest.importorskip("kubernetes.aio.client")

    async def refused() -> None:
        async with client.ApiClient(client.Configuration(host="http://127.0.0.1:9")) as api_client:
            with pytest.raises(keptalive.Uncovered, match=r"install\(\)"):
                keptalive.hold(api_client)

    asyncio.run(refused())


def test_a_configuration_is_unknown() -> None:
    """It has no connections."""
    client = pytest.importorskip("kubernetes.client")
    with pytest.raises(keptalive.UnknownTarget):
        keptalive.hold(client.Configuration())
