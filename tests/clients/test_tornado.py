"""tornado's clients: simple, curl and blocking, its TCPClient and its streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import keptalive
from clients.cut_short import SHORT
from clients.servers import Origin, SlowHandshake, blackhole
from clients.world import LATER, POLICY, World, as_kernel, kernel, unprotected
from matrix.witness import established, set_options

pytest.importorskip("tornado")
simple = pytest.importorskip("tornado.simple_httpclient")
httpclient = pytest.importorskip("tornado.httpclient")
tcpclient = pytest.importorskip("tornado.tcpclient")


class Kit:
    """One of the two asynchronous clients."""

    def __init__(self, kind: str, world: World) -> None:
        self.curl = kind == "curl"
        self.ca = world.ca
        if self.curl:
            pytest.importorskip("pycurl")
            self.made = pytest.importorskip("tornado.curl_httpclient").CurlAsyncHTTPClient
        else:
            self.made = simple.SimpleAsyncHTTPClient

    def client(self) -> Any:
        return self.made(force_instance=True)

    async def get(self, client: Any, url: str, **options: Any) -> bytes:
        options.setdefault("request_timeout", 30)
        response = await client.fetch(url, ca_certs=self.ca, **options)
        body: bytes = response.body
        return body


@pytest.fixture(params=["simple", "curl"])
def kit(request: pytest.FixtureRequest, world: World) -> Kit:
    return Kit(request.param, world)


def run(main: Callable[[], Any]) -> None:
    asyncio.run(main())


def test_what_shakes_hands(kit: Kit) -> None:
    """Its socket is protected already, while tornado would wait 20 s for the end of it."""

    async def main() -> None:
        with SlowHandshake() as server:
            client = keptalive.hold(kit.client(), POLICY)
            request = asyncio.ensure_future(kit.get(client, server.url()))
            while kernel(server) != [as_kernel(POLICY)] and not request.done():
                await asyncio.sleep(0.01)
            assert not request.done()
            server.ready.set()
            await request
            client.close()

    run(main)


async def asked(server: Origin, times: int = 1) -> None:
    while len(server.requests) < times:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_connections_to_come(world: World, kit: Kit, tls: bool) -> None:
    """A connection is covered while its answer is awaited; a plain client's is not."""
    server = world.secure if tls else world.origin

    async def main() -> None:
        for held in (False, True):
            client = kit.client()
            if held:
                assert keptalive.hold(client, POLICY) is client
            server.requests.clear()
            server.gate.clear()
            waiting = asyncio.ensure_future(kit.get(client, server.url("/wait")))
            await asked(server)
            states = kernel(server)
            assert states == [as_kernel(POLICY)] if held else unprotected(states)
            server.gate.set()
            assert await waiting == b"hello"
            client.close()

    run(main)


def test_redirects_and_reconnects(world: World, kit: Kit) -> None:
    """A redirect to another port and a connection that replaces a closed one."""

    async def main() -> None:
        client = keptalive.hold(kit.client(), POLICY)
        assert await kit.get(client, world.origin.url("/close")) == b"hello"
        hop = world.origin.url(f"/redirect?to={world.elsewhere.url('/wait')}")
        waiting = asyncio.ensure_future(kit.get(client, hop))
        await asked(world.elsewhere)
        assert kernel(world.elsewhere) == [as_kernel(POLICY)]
        world.elsewhere.gate.set()
        assert await waiting == b"hello"
        client.close()

    run(main)


def test_later_policy_wins(world: World, kit: Kit) -> None:
    """Held again with another policy: that one is for what comes."""

    async def main() -> None:
        client = keptalive.hold(keptalive.hold(kit.client(), POLICY), LATER)
        waiting = asyncio.ensure_future(kit.get(client, world.origin.url("/wait")))
        await asked(world.origin)
        assert kernel(world.origin) == [as_kernel(LATER)]
        world.origin.gate.set()
        await waiting
        client.close()

    run(main)


def test_request_under_way(world: World, kit: Kit) -> None:
    """The curl client shows the connections it waits for; the simple one does not, and hold() says so."""

    async def main() -> None:
        client = kit.client()
        waiting = asyncio.ensure_future(kit.get(client, world.origin.url("/wait")))
        await asked(world.origin)
        if kit.curl:
            keptalive.hold(client, POLICY)
            assert kernel(world.origin) == [as_kernel(POLICY)]
        else:
            with pytest.raises(keptalive.Uncovered, match="1 requests under way"):
                keptalive.hold(client, POLICY)
            with pytest.warns(keptalive.KeptaliveWarning, match="1 requests under way"):
                keptalive.hold(client, POLICY, strict=False)
        world.origin.gate.set()
        await waiting
        world.origin.gate.clear()
        waiting = asyncio.ensure_future(kit.get(client, world.origin.url("/wait")))
        await asked(world.origin, 2)
        assert kernel(world.origin) == [as_kernel(POLICY)]
        world.origin.gate.set()
        await waiting
        client.close()

    run(main)


def test_curl_pool_and_proxies(world: World) -> None:
    """A connection that libcurl had pooled is covered when it is waited for; so is the one to a proxy."""
    kit = Kit("curl", world)

    async def main() -> None:
        client = kit.client()
        await kit.get(client, world.origin.url())
        keptalive.hold(client, POLICY)
        waiting = asyncio.ensure_future(kit.get(client, world.origin.url("/wait")))
        await asked(world.origin, 2)
        assert world.origin.accepted == 1
        assert kernel(world.origin) == [as_kernel(POLICY)]
        world.origin.gate.set()
        await waiting
        proxy = {"proxy_host": world.proxy.host, "proxy_port": world.proxy.port}
        assert await kit.get(client, world.secure.url(), **proxy) == b"hello"
        assert kernel(world.proxy) == [as_kernel(POLICY)]
        client.close()

    run(main)


def test_blocking_client(world: World) -> None:
    """HTTPClient runs an asynchronous one."""
    client = keptalive.hold(httpclient.HTTPClient(simple.SimpleAsyncHTTPClient), POLICY)
    seen: list[Any] = []
    world.origin.answer = _looking(world.origin, seen)  # type: ignore[method-assign]
    client.fetch(world.origin.url())
    assert seen == [[as_kernel(POLICY)]]
    client.close()


def _looking(server: Origin, seen: list[Any]) -> Callable[..., None]:
    answer = server.answer

    def look(*args: Any) -> None:
        seen.append(kernel(server))
        answer(*args)

    return look


def test_tcp_client_and_stream(world: World) -> None:
    """A TCPClient covers what it connects; a stream can be held by itself."""

    async def main() -> None:
        client = tcpclient.TCPClient()
        stream = await client.connect(world.origin.host, world.origin.port)
        assert unprotected(kernel(world.origin))
        keptalive.hold(stream, POLICY)
        assert [state.idle for state in keptalive.read(stream)] == [POLICY.idle]
        stream.close()
        keptalive.hold(client, LATER)
        stream = await client.connect(world.origin.host, world.origin.port)
        assert kernel(world.origin) == [as_kernel(LATER)]
        stream.close()
        assert keptalive.read(stream) == []
        client.close()

    run(main)


def test_other_implementations_are_refused() -> None:
    """An AsyncHTTPClient that tornado did not make shows nothing."""

    class Foreign(httpclient.AsyncHTTPClient):  # type: ignore[misc, name-defined]
        def initialize(self, **options: Any) -> None:
            super().initialize(**options)

    async def main() -> None:
        client = Foreign(force_instance=True)
        with pytest.raises(keptalive.Uncovered, match="Foreign is none of tornado's own"):
            keptalive.hold(client, POLICY)
        client.close()

    run(main)


def test_no_answer_cut_short(world: World, kit: Kit) -> None:
    """A body whose connection died fails; the simple client by itself cuts it short; a FIN is an end."""

    async def begin(server: Origin, held: bool) -> Any:
        client = kit.client()
        if held:
            keptalive.hold(client, SHORT)
        begun = asyncio.Event()
        url = server.url("/part/until-close")
        reading = asyncio.ensure_future(kit.get(client, url, header_callback=lambda line: begun.set()))
        await begun.wait()
        return client, reading

    async def main() -> None:
        cases = [(server, held) for server in (world.origin, world.secure) for held in (False, True)]
        flights = [await begin(*case) for case in cases]
        with established("127.0.0.1") as found:
            for port, sock in found:
                if port in (world.origin.port, world.secure.port):
                    set_options(sock, str(SHORT))
                    blackhole(sock)
        outcomes = await asyncio.gather(*(reading for _, reading in flights), return_exceptions=True)
        for client, _ in flights:
            client.close()
        for (server, held), outcome in zip(cases, outcomes, strict=True):
            if held or kit.curl:
                assert isinstance(outcome, (httpclient.HTTPError, OSError)), f"{server.scheme} {outcome!r}"
            else:
                assert outcome == b"do"

        client = keptalive.hold(kit.client(), SHORT)
        for server in (world.origin, world.secure):
            server.gate.set()
            if kit.curl and server.tls:
                continue  # libcurl takes a bare FIN under TLS for an error, held or not
            assert await kit.get(client, server.url("/part/until-close")) == b"done"
        client.close()

    run(main)
