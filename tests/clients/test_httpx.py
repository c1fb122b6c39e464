"""httpx and httpx2, synchronous, on asyncio, on uvloop and on trio: the same tests for all of them."""

from __future__ import annotations

import copy
import inspect
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import keptalive
from clients.cut_short import Case, check_endings, endings, whole_bodies
from clients.servers import Origin, Server, SlowHandshake, authority
from clients.world import LATER, POLICY, ROUTES, World, as_kernel, kernel, nodelay, unprotected
from keptalive import Policy

anyio = pytest.importorskip("anyio")

LIBRARIES = ("httpx", "httpx2")
MODES = ("sync", "asyncio", "uvloop", "trio")


class Kit:
    """One library in one mode: what makes its clients, and runs a test written as a coroutine."""

    def __init__(self, library: str, mode: str) -> None:
        self.httpx = pytest.importorskip(library)
        self.ours = pytest.importorskip(f"keptalive.clients.{library}")
        self.mode = mode
        self.sync = mode == "sync"

        if mode in ("trio", "uvloop"):
            pytest.importorskip(mode)
        self.backend: dict[str, Any] = (
            {"backend": "trio"} if mode == "trio" else {"backend_options": {"use_uvloop": mode == "uvloop"}}
        )

    def run(self, main: Callable[[], Any]) -> None:
        anyio.run(main, **self.backend)

    def client(self, *, proxy: str | None = None, **options: Any) -> Any:
        options.setdefault("verify", authority().client())
        made = self.httpx.Client if self.sync else self.httpx.AsyncClient
        return made(timeout=30, proxy=self.proxy(proxy), **options)

    def transport(self, module: Any = None, *, proxy: str | None = None, **options: Any) -> Any:
        module = module or self.httpx
        made = module.HTTPTransport if self.sync else module.AsyncHTTPTransport
        return made(verify=authority().client(), proxy=self.proxy(proxy), **options)

    def proxy(self, url: str | None) -> Any:
        if url is None or not url.startswith("https"):
            return url
        return self.httpx.Proxy(url, ssl_context=authority().client())

    async def get(self, client: Any, url: str, **options: Any) -> str:
        response = await done(client.get(url, **options))
        assert response.status_code == 200
        return response.text

    async def begin(self, client: Any, url: str) -> Any:
        return await done(client.send(client.build_request("GET", url), stream=True))

    async def close(self, *clients: Any) -> None:
        for client in clients:
            await done(client.close() if self.sync else client.aclose())

    @property
    def base(self) -> Any:
        return self.httpx.BaseTransport if self.sync else self.httpx.AsyncBaseTransport


async def done(value: Any) -> Any:
    """Return *value*, or what it stands for: the same line then serves both kinds of client."""
    return await value if inspect.isawaitable(value) else value


@pytest.fixture(params=[(library, mode) for library in LIBRARIES for mode in MODES], ids="-".join)
def kit(request: pytest.FixtureRequest) -> Kit:
    return Kit(*request.param)


def socket_of(response: Any) -> Any:
    return response.extensions["network_stream"].get_extra_info("socket")


@pytest.mark.parametrize("route", ROUTES)
def test_every_route(world: World, kit: Kit, route: str) -> None:
    """Direct or through a proxy, with TLS or without: covered if held, not if plain."""
    proxy, url, first = world.route(route)
    if "SOCKS" in route:
        pytest.importorskip("socksio")
    if "HTTPS" in route and not kit.sync and kit.httpx.__version__ == "0.27.0":
        pytest.skip("httpx 0.27.0 drops the ssl_context of an asynchronous client's proxy")

    async def main() -> None:
        client = kit.client(proxy=proxy)
        response = await done(client.get(url))
        assert response.text == "hello"
        assert unprotected(kernel(first))
        delay = nodelay(socket_of(response))
        await kit.close(client)
        client = keptalive.hold(kit.client(proxy=proxy), POLICY)
        response = await done(client.get(url))
        assert response.text == "hello"
        assert kernel(first) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(client)] == [POLICY.idle]
        assert nodelay(socket_of(response)) == delay
        await kit.close(client)

    kit.run(main)


@pytest.mark.parametrize("route", ["direct", "HTTP proxy", "CONNECT proxy", "SOCKS"])
def test_our_transport(world: World, kit: Kit, route: str) -> None:
    """The idiom: ours covers proxied connections too, where the library's socket_options are lost."""
    proxy, url, first = world.route(route)
    if "SOCKS" in route:
        pytest.importorskip("socksio")

    async def main() -> None:
        if proxy is not None:
            lost = kit.transport(proxy=proxy, socket_options=keptalive.socket_options(POLICY))
            client = kit.client(transport=lost)
            await kit.get(client, url)
            assert unprotected(kernel(first))
            await kit.close(client)
        client = kit.client(transport=kit.transport(kit.ours, proxy=proxy, policy=POLICY))
        assert await kit.get(client, url) == "hello"
        assert kernel(first) == [as_kernel(POLICY)]
        await kit.close(client)

    kit.run(main)


@pytest.mark.parametrize("route", ["direct", "TLS", "HTTP proxy", "CONNECT proxy", "SOCKS and TLS"])
def test_what_is_pooled_before(world: World, kit: Kit, route: str) -> None:
    """A connection that was pooled before hold() is covered by it, and used again."""
    proxy, url, first = world.route(route)
    if "SOCKS" in route:
        pytest.importorskip("socksio")

    async def main() -> None:
        client = kit.client(proxy=proxy)
        await kit.get(client, url)
        assert unprotected(kernel(first))
        keptalive.hold(client, POLICY)
        assert kernel(first) == [as_kernel(POLICY)]
        await kit.get(client, url)
        assert len(kernel(first)) == 1
        await kit.close(client)

    kit.run(main)


def test_same_object_and_settings_untouched(kit: Kit) -> None:
    """hold() returns the object it was given; its class, timeouts and mounts stay."""

    async def main() -> None:
        client = kit.client(proxy="http://127.0.0.1:9")
        before = (type(client), client.timeout, dict(client._mounts), client._transport, client.trust_env)
        assert keptalive.hold(client, POLICY) is client
        assert (type(client), client.timeout, client._mounts, client._transport, client.trust_env) == before
        await kit.close(client)

    kit.run(main)


def test_proxies_of_the_environment(world: World, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY counts for a held client as for a plain one, and what NO_PROXY names is covered as well."""
    monkeypatch.setenv("HTTP_PROXY", world.proxy.url(""))
    monkeypatch.setenv("NO_PROXY", "localhost")  # which is 127.0.0.1, but httpx compares names

    async def main() -> None:
        client = keptalive.hold(kit.client(), POLICY)
        await kit.get(client, world.origin.url())
        await kit.get(client, f"http://localhost:{world.elsewhere.port}/")
        assert [seen.path for seen in world.proxy.requests] == [world.origin.url()]
        assert kernel(world.proxy) == [as_kernel(POLICY)]
        assert kernel(world.elsewhere) == [as_kernel(POLICY)]
        await kit.close(client)

    kit.run(main)


def test_redirects_and_reconnects(world: World, kit: Kit) -> None:
    """A redirect to another port, a connection closed as announced, one dropped."""

    async def main() -> None:
        client = keptalive.hold(kit.client(follow_redirects=True), POLICY)
        await kit.get(client, world.origin.url("/close"))
        await kit.get(client, world.origin.url(f"/redirect?to={world.elsewhere.url()}"))
        assert world.origin.accepted == 2
        assert kernel(world.origin, world.elsewhere) == [as_kernel(POLICY)] * 2
        world.origin.drop_connections()
        await kit.get(client, world.origin.url())
        assert kernel(world.origin) == [as_kernel(POLICY)]
        await kit.close(client)

    kit.run(main)


def test_no_request_is_added(world: World, kit: Kit) -> None:
    """A request that failed is not sent again: the server sees it once."""

    async def main() -> None:
        client = keptalive.hold(kit.client(), POLICY)
        with pytest.raises(kit.httpx.RemoteProtocolError):
            await done(client.post(world.origin.url("/drop"), content=b"x"))
        assert [seen.method for seen in world.origin.requests] == ["POST"]
        await kit.close(client)

    kit.run(main)


def test_what_is_being_connected(kit: Kit) -> None:
    """A connection that is in its handshake when the client is held is covered when the pool is used next."""

    async def main() -> None:
        with SlowHandshake() as server:
            url = server.url()
            client = kit.client()
            async with anyio.create_task_group() as group:
                if kit.sync:
                    group.start_soon(anyio.to_thread.run_sync, client.get, url)
                else:
                    group.start_soon(client.get, url)
                while not server.accepted:
                    await anyio.sleep(0.01)
                keptalive.hold(client, POLICY)
                server.ready.set()
            await kit.get(client, url)
            assert server.accepted == 1
            assert kernel(server) == [as_kernel(POLICY)]
            await kit.close(client)

    kit.run(main)


def test_transport_that_comes_later(world: World, kit: Kit) -> None:
    """A mount that comes after hold() is covered when it is first chosen; one that shows nothing is named."""

    async def main() -> None:
        client = keptalive.hold(kit.client(), POLICY)
        with_mount = kit.client(mounts={"http://": kit.transport(proxy=world.proxy.url(""))})
        client._mounts = dict(with_mount._mounts)
        await kit.get(client, world.origin.url())
        assert kernel(world.proxy) == [as_kernel(POLICY)]

        unknown = type("Unknown", (kit.base,), {})()
        client._mounts = dict.fromkeys(client._mounts, unknown)
        with pytest.warns(keptalive.KeptaliveWarning, match="Unknown shows no connection pool"):
            assert client._transport_for_url(kit.httpx.URL(world.origin.url())) is unknown
        client._mounts = {}
        await kit.close(client, with_mount)

    kit.run(main)


def test_held_again_with_another_policy(world: World, kit: Kit) -> None:
    """The later policy wins, for connections that are open and for those to come."""

    async def main() -> None:
        client = keptalive.hold(kit.client(), POLICY)
        await kit.get(client, world.origin.url())
        keptalive.hold(client, LATER)
        await kit.get(client, world.secure.url())
        assert kernel(world.origin, world.secure) == [as_kernel(LATER)] * 2
        await kit.close(client)

    kit.run(main)


def test_default_policy_leaves_better_protection_alone(world: World, kit: Kit) -> None:
    """Options of one's own that are at least as eager stay; lazier ones do not."""

    async def main() -> None:
        for own, expected in ((Policy(20, 5, 9), Policy(20, 5, 9)), (Policy(7000, 5, 9), Policy())):
            transport = kit.transport(socket_options=keptalive.socket_options(own))
            client = keptalive.hold(kit.client(transport=transport))
            await kit.get(client, world.origin.url())
            assert kernel(world.origin) == [as_kernel(expected)]
            await kit.close(client)

    kit.run(main)


def test_transports_themselves(world: World, kit: Kit) -> None:
    """A transport can be held by itself."""

    async def main() -> None:
        transport = keptalive.hold(kit.transport(proxy=world.proxy.url("")), POLICY)
        client = kit.client(transport=transport)
        await kit.get(client, world.origin.url())
        assert kernel(world.proxy) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(transport)] == [POLICY.idle]
        await kit.close(client)

    kit.run(main)


def test_a_transport_that_wraps_another(world: World, kit: Kit) -> None:
    """Somebody's retrying or caching transport is covered through the one it wraps."""

    class Wrapping(kit.base):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def handle_request(self, request: Any) -> Any:
            return self.inner.handle_request(request)

        async def handle_async_request(self, request: Any) -> Any:
            return await self.inner.handle_async_request(request)

    async def main() -> None:
        inner = kit.transport()
        client = keptalive.hold(kit.client(transport=Wrapping(inner)), POLICY)
        await kit.get(client, world.origin.url())
        assert kernel(world.origin) == [as_kernel(POLICY)]
        await kit.close(client, inner)

    kit.run(main)


def test_unknown_transport_is_refused_before_anything_changes(world: World, kit: Kit) -> None:
    """A transport that shows nothing is named; strict=False warns and covers the others."""

    async def main() -> None:
        unknown = type("Unknown", (kit.base,), {})()
        client = kit.client(mounts={"https://": unknown})
        with pytest.raises(keptalive.Uncovered, match=r"Unknown shows no connection pool.*install\(\)"):
            keptalive.hold(client, POLICY)
        await kit.get(client, world.origin.url())
        assert unprotected(kernel(world.origin))

        with pytest.warns(keptalive.KeptaliveWarning, match="Unknown shows no connection pool"):
            assert keptalive.hold(client, POLICY, strict=False) is client
        assert kernel(world.origin) == [as_kernel(POLICY)]
        await kit.close(client)

    kit.run(main)


def test_without_sockets_nothing_to_do(kit: Kit, tmp_path: Path) -> None:
    """Mocks, ASGI and WSGI have no sockets, a Unix socket needs no keepalive: hold() says nothing."""

    async def main() -> None:
        answer = kit.httpx.MockTransport(lambda request: kit.httpx.Response(200, text="mocked"))
        gateway = kit.httpx.WSGITransport(app=None) if kit.sync else kit.httpx.ASGITransport(app=None)
        client = keptalive.hold(kit.client(transport=answer, mounts={"https://": gateway}), POLICY)
        response = await done(client.get("http://localhost/"))
        assert response.text == "mocked"
        assert keptalive.read(client) == keptalive.read(response) == []
        await kit.close(client)

        with Origin(path=tmp_path / "socket") as server:
            client = keptalive.hold(kit.client(transport=kit.transport(uds=str(tmp_path / "socket"))), POLICY)
            assert await kit.get(client, server.url()) == "hello"
            assert keptalive.read(client) == []
            await kit.close(client)

    kit.run(main)


def test_response_in_flight(world: World, kit: Kit) -> None:
    """A response that is still being read can be read and held; a closed one has no connection."""

    async def main() -> None:
        client = kit.client()
        response = await kit.begin(client, world.secure.url("/part/content-length"))
        assert [state.enabled for state in keptalive.read(response)] == [False]

        keptalive.hold(response, POLICY)
        assert kernel(world.secure) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(response)] == [POLICY.idle]
        assert [state.idle for state in keptalive.read(client)] == [POLICY.idle]
        await kit.close(response)
        assert keptalive.read(response) == []
        await kit.close(client)

    kit.run(main)


def test_a_copy_works(world: World, kit: Kit) -> None:
    """A shallow copy goes on when the held original is gone."""

    async def main() -> None:
        client = keptalive.hold(kit.client(), POLICY)
        other = copy.copy(client)
        del client
        assert await kit.get(other, world.origin.url()) == "hello"
        await kit.close(other)

    kit.run(main)


def test_switched_off(world: World, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """KEPTALIVE_POLICY=off leaves clients and our transports as they would be without keptalive."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")

    async def main() -> None:
        ours = kit.client(transport=kit.transport(kit.ours, policy=POLICY))
        for client in (keptalive.hold(kit.client(), POLICY), ours):
            await kit.get(client, world.origin.url())
            assert unprotected(kernel(world.origin))
            await kit.close(client)

    kit.run(main)


def test_trouble_inside_a_connect_harms_nothing(
    world: World, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in keptalive, the request goes on and one warning says so."""

    def broken(*args: object) -> None:
        raise RuntimeError("from inside keptalive")

    async def main() -> None:
        client = keptalive.hold(kit.client(), POLICY)
        monkeypatch.setattr("keptalive.clients.httpcore._watch_tls", broken)
        with pytest.warns(keptalive.KeptaliveWarning, match="from inside keptalive") as seen:
            for _ in range(2):
                assert await kit.get(client, world.origin.url("/close")) == "hello"
        assert len(seen) == 1
        await kit.close(client)

    kit.run(main)


class Flights:
    """Requests of one mode, each with a client of its own, begun for `cut_short` to read to the end."""

    def __init__(self, kit: Kit, portal: Any) -> None:
        self.kit = kit
        self.call = portal.call
        self.clients: list[Any] = []

    def start(self, url: str, policy: Policy | None) -> tuple[Any, Callable[[], bytes]]:
        response = self.call(self._begin, url, policy)
        sock = socket_of(response)
        read = response.read if self.kit.sync else response.aread
        return sock, (read if self.kit.sync else lambda: self.call(read))

    async def _begin(self, url: str, policy: Policy | None) -> Any:
        client = self.kit.client()
        self.clients.append(client)
        if policy is not None:
            keptalive.hold(client, policy)
        return await self.kit.begin(client, url)

    def close(self) -> None:
        self.call(self.kit.close, *self.clients)


@contextmanager
def flights(kit: Kit) -> Iterator[Flights]:
    options = (
        {"backend": "trio"}
        if kit.mode == "trio"
        else {"backend_options": {"use_uvloop": kit.mode == "uvloop"}}
    )
    import anyio.from_thread

    with anyio.from_thread.start_blocking_portal(**options) as portal:
        begun = Flights(kit, portal)
        try:
            yield begun
        finally:
            begun.close()


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_answer_cut_short(world: World, library: str) -> None:
    """A body that ends because its connection died raises, in every mode; plain sync TLS is the control."""
    kits = [Kit(library, mode) for mode in MODES]

    def outcomes_of(kit: Kit) -> dict[Case, bytes | Exception]:
        with flights(kit) as begun:
            return endings(world, begun.start)

    with ThreadPoolExecutor(len(kits)) as pool:
        found = dict(zip(MODES, pool.map(outcomes_of, kits), strict=True))

    error = kits[0].httpx.TransportError
    check_endings(found.pop("sync"), error)
    for mode, outcomes in found.items():
        for case, outcome in outcomes.items():
            assert isinstance(outcome, error), f"{mode} {case}: {outcome!r}"


def test_a_whole_answer_stays_whole(world: World, kit: Kit) -> None:
    """A server that just closes, without TLS close_notify, has said all: no error."""
    with flights(kit) as begun:
        assert whole_bodies(world, begun.start) == [b"done"] * 6


class Http2Server(Server):
    """Answers "hello" to each request of HTTP/2 over TLS."""

    scheme = "http"

    def url(self, path: str = "/") -> str:
        return f"https://{self.address}{path}"

    def serve(self, sock: socket.socket) -> None:
        import h2.config
        import h2.connection
        import h2.events

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority().ca.issue_cert("127.0.0.1").configure_cert(context)
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(sock, server_side=True) as tls:
            self._open.add(tls)
            http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            http2.initiate_connection()
            tls.sendall(http2.data_to_send())
            while data := tls.recv(65536):
                for event in http2.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        http2.send_headers(event.stream_id, [(":status", "200")])
                        http2.send_data(event.stream_id, b"hello", end_stream=True)
                tls.sendall(http2.data_to_send())


def test_http2(world: World, kit: Kit) -> None:
    """HTTP/2: one connection for all requests, covered from its start or when it is pooled already."""
    pytest.importorskip("h2")

    async def main() -> None:
        with Http2Server() as server:
            client = kit.client(http2=True)
            response = await done(client.get(server.url()))
            assert (response.text, response.http_version) == ("hello", "HTTP/2")
            assert unprotected(kernel(server))
            keptalive.hold(client, POLICY)
            await kit.get(client, server.url())
            assert kernel(server) == [as_kernel(POLICY)]
            await kit.close(client)

            client = keptalive.hold(kit.client(http2=True), POLICY)
            await kit.get(client, server.url())
            assert kernel(server) == [as_kernel(POLICY)]
            await kit.close(client)

    kit.run(main)


@pytest.mark.parametrize("library", LIBRARIES)
def test_pools_of_httpcore(world: World, library: str) -> None:
    """A pool used without httpx can be held as well."""
    httpcore = pytest.importorskip(library.replace("httpx", "httpcore"))
    with httpcore.ConnectionPool() as pool:
        pool.request("GET", world.origin.url())
        assert unprotected(kernel(world.origin))
        assert keptalive.hold(pool, POLICY) is pool
        assert kernel(world.origin) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(pool)] == [POLICY.idle]
