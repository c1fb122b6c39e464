"""elasticsearch: each node's own client, of nodes that are there and of nodes that come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keptalive
from clients.world import LATER, POLICY, World, as_kernel, kernel, unprotected

pytestmark = pytest.mark.sdks

NODE_CLASSES = ("urllib3", "requests")


def _client(world: World, node_class: str) -> Any:
    library = pytest.importorskip("elasticsearch")
    return library.Elasticsearch(world.origin.url(""), node_class=node_class)


@pytest.mark.parametrize("node_class", NODE_CLASSES)
def test_a_client(node_class: str, world: World) -> None:
    """What is pooled already is covered, read() shows it, and another policy replaces the first."""
    with _client(world, node_class) as client:
        client.transport.perform_request("GET", "/")
        assert unprotected(kernel(world.origin))

        assert keptalive.hold(client, POLICY) is client
        client.transport.perform_request("GET", "/")
        assert kernel(world.origin) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(client)] == [POLICY.idle]

        keptalive.hold(client.options(request_timeout=60), LATER)  # a copy on the same transport
        assert kernel(world.origin) == [as_kernel(LATER)]


@pytest.mark.parametrize("node_class", NODE_CLASSES)
def test_a_node_that_comes_later(node_class: str, world: World) -> None:
    """As sniffing finds it."""
    from elastic_transport.client_utils import url_to_node_config

    with _client(world, node_class) as client:
        keptalive.hold(client.transport, POLICY)
        client.transport.node_pool.add(url_to_node_config(world.elsewhere.url("")))
        for node in client.transport.node_pool.all():
            node.perform_request("GET", "/")

        assert kernel(world.origin, world.elsewhere) == [as_kernel(POLICY)] * 2


def test_asynchronous_over_httpx(world: World) -> None:
    """Its nodes have their client from the start."""
    library = pytest.importorskip("elasticsearch")

    async def ask() -> None:
        async with library.AsyncElasticsearch(world.origin.url(""), node_class="httpxasync") as client:
            keptalive.hold(client, POLICY)
            await client.transport.perform_request("GET", "/")

            assert kernel(world.origin) == [as_kernel(POLICY)]

    asyncio.run(ask())


def test_asynchronous_over_aiohttp(world: World) -> None:
    """A node is refused until it has a session, and held once it has one."""
    library = pytest.importorskip("elasticsearch")

    async def ask() -> None:
        async with library.AsyncElasticsearch(world.origin.url("")) as client:
            with pytest.raises(keptalive.Uncovered, match=r"AiohttpHttpNode .*install\(\).*httpxasync"):
                keptalive.hold(client, POLICY)
            await client.transport.perform_request("GET", "/")
            assert unprotected(kernel(world.origin))
            keptalive.hold(client, POLICY)

            assert kernel(world.origin) == [as_kernel(POLICY)]

    asyncio.run(ask())
