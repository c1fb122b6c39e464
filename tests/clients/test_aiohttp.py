"""aiohttp on asyncio and on uvloop: sessions, connectors, responses and websockets in flight."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import CoroutineType
from typing import Any

import pytest

import keptalive
from clients.cut_short import Case, endings, whole_bodies
from clients.servers import Origin, SlowHandshake, authority
from clients.world import LATER, POLICY, ROUTES, World, as_kernel, kernel, nodelay, unprotected
from keptalive import Policy

aiohttp = pytest.importorskip("aiohttp")
ours = pytest.importorskip("keptalive.clients.aiohttp")

pytestmark = [
    # aiohttp says so of any proxy where it cannot ask the transport: asyncio before 3.11, old uvloop
    pytest.mark.filterwarnings("ignore:An HTTPS request is being sent through an HTTPS proxy"),
    # asyncio before 3.11 forgets to close a TLS transport whose connection was lost
    pytest.mark.filterwarnings("ignore:unclosed transport <asyncio.sslproto:ResourceWarning"),
]

LOOPS = ("asyncio", "uvloop")


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
        return loop
    return asyncio.new_event_loop()


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Run a coroutine on a loop of either kind."""
    loop = new_loop(request.param)
    yield loop.run_until_complete
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def connector(**options: Any) -> Any:
    return aiohttp.TCPConnector(ssl=authority().client(), **options)


@contextlib.asynccontextmanager
async def session(**options: Any) -> AsyncIterator[Any]:
    """Make a session that trusts the test's authority, and let its connections go before the test ends."""
    options.setdefault("connector", connector())
    async with aiohttp.ClientSession(**options) as made:
        yield made
    await asyncio.sleep(
        0.01
    )  # "Graceful Shutdown" in aiohttp's documentation: TLS transports close a turn later


async def get(client: Any, url: str, **options: Any) -> str:
    async with client.get(url, **options) as response:
        assert response.status == 200
        text: str = await response.text()
        return text


def socket_of(response: Any) -> Any:
    """Return the socket of a response's connection; None once it has been read."""
    connection = response.connection
    return None if connection is None else connection.transport.get_extra_info("socket")


def through(route: str, proxy: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a session and of a request that take a route."""
    if "SOCKS" in route:
        socks = pytest.importorskip("aiohttp_socks")
        return {"connector": socks.ProxyConnector.from_url(proxy, ssl=authority().client())}, {}
    return {}, {} if proxy is None else {"proxy": proxy}


@pytest.mark.filterwarnings(
    "ignore:An HTTPS request is being sent through an HTTPS proxy"
)  # before Python 3.11
@pytest.mark.parametrize("route", ROUTES)
def test_every_route(world: World, run: Any, route: str) -> None:
    """Direct or through a proxy, with TLS or without: covered if held, not if plain."""
    proxy, url, first = world.route(route)
    if "CONNECT through HTTPS" in route and sys.version_info < (3, 11):
        pytest.skip("asyncio before 3.11 does no TLS in TLS")

    async def main() -> None:
        for policy in (None, POLICY):
            made, asked = through(route, proxy)
            async with session(**made) as client:
                if policy is not None:
                    assert keptalive.hold(client, policy) is client
                async with client.get(url, **asked) as response:
                    assert await response.text() == "hello"
                states = kernel(first)
                assert unprotected(states) if policy is None else states == [as_kernel(policy)]
                expected = [None] if policy is None else [POLICY.idle]
                assert [s.idle if s.enabled else None for s in keptalive.read(client)] == expected

    run(main())


@pytest.mark.parametrize("route", ["direct", "TLS", "HTTP proxy", "CONNECT proxy"])
def test_socket_factory(world: World, run: Any, route: str) -> None:
    """The idiom: sockets that have the policy before they connect."""
    if "socket_factory" not in inspect.signature(aiohttp.TCPConnector).parameters:
        pytest.skip("aiohttp has had socket_factory since 3.12")
    proxy, url, first = world.route(route)

    async def main() -> None:
        factory = ours.socket_factory(POLICY)
        async with session(connector=connector(socket_factory=factory)) as client:
            assert await get(client, url, proxy=proxy) == "hello"
            assert kernel(first) == [as_kernel(POLICY)]

    run(main())


@pytest.mark.parametrize("route", ["direct", "TLS", "HTTP proxy", "CONNECT proxy"])
def test_what_is_pooled_before(world: World, run: Any, route: str) -> None:
    """A connection that was pooled before hold() is covered by it, and used again."""
    proxy, url, first = world.route(route)

    async def main() -> None:
        async with session() as client:
            await get(client, url, proxy=proxy)
            assert unprotected(kernel(first))
            keptalive.hold(client, POLICY)
            assert kernel(first) == [as_kernel(POLICY)]
            await get(client, url, proxy=proxy)
            assert len(kernel(first)) == 1

    run(main())


def test_what_the_books_do_not_show(world: World, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should aiohttp rename its private books: a pooled connection is covered when it is used again."""

    async def main() -> None:
        async with session() as client:
            await get(client, world.origin.url())
            monkeypatch.setattr(ours, "_protocols_of", lambda target: [])
            monkeypatch.setattr(ours, "_shows_all", lambda connector: False)
            keptalive.hold(client, POLICY)
            assert unprotected(kernel(world.origin))
            await get(client, world.origin.url())
            assert kernel(world.origin) == [as_kernel(POLICY)]

    run(main())


def test_what_is_being_connected(world: World, run: Any) -> None:
    """A connection that is in its handshake when the session is held is covered when it is used next."""

    async def main() -> None:
        with SlowHandshake() as server:
            async with session() as client:
                first = asyncio.ensure_future(get(client, server.url()))
                while not server.accepted:
                    await asyncio.sleep(0.01)
                keptalive.hold(client, POLICY)
                server.ready.set()
                await first
                await get(client, server.url())
                assert server.accepted == 1
                assert kernel(server) == [as_kernel(POLICY)]

    run(main())


def test_what_shakes_hands(run: Any) -> None:
    """Sockets are protected before there is a protocol, with a factory of the user's as well."""
    if "socket_factory" not in inspect.signature(aiohttp.TCPConnector).parameters:
        pytest.skip("aiohttp has had socket_factory since 3.12")

    async def main() -> None:
        for options in ({}, {"socket_factory": ours.socket_factory(LATER)}):
            with SlowHandshake() as server:
                async with session(connector=connector(**options)) as client:
                    for _ in range(2):
                        keptalive.hold(client, POLICY)
                    request = asyncio.ensure_future(get(client, server.url()))
                    while not server.accepted:
                        await asyncio.sleep(0.01)
                    assert kernel(server) == [as_kernel(POLICY)]
                    server.ready.set()
                    await request

    run(main())


def test_held_again_while_connecting(world: World, run: Any) -> None:
    """A connection that is protected, but not yet in the books, has the later policy at its next use."""

    async def main() -> None:
        async def hold_again(*args: Any) -> None:
            keptalive.hold(client, LATER)

        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(hold_again)
        async with session(trace_configs=[tracing]) as client:
            keptalive.hold(client, POLICY)
            await get(client, world.origin.url())
            assert kernel(world.origin) == [as_kernel(POLICY)]
            await get(client, world.origin.url())
            assert kernel(world.origin) == [as_kernel(LATER)]

    run(main())


class OwnProtocols(aiohttp.TCPConnector):  # type: ignore[misc]
    """A connector that does not ask its factory, as those of aiohttp-socks."""

    made = 0

    async def _wrap_create_connection(self, factory: Any, *args: Any, **kwargs: Any) -> Any:
        def other() -> Any:
            self.made += 1
            return aiohttp.client_proto.ResponseHandler(loop=asyncio.get_running_loop())

        return await super()._wrap_create_connection(other, *args, **kwargs)


def waiting_of_ours(task: asyncio.Task[Any]) -> int:
    """Return how many coroutines of keptalive's a task waits in."""
    folder = str(Path(keptalive.__file__).parent)
    found: Any = task.get_coro()
    number = 0
    while isinstance(found, CoroutineType):
        number += found.cr_code.co_filename.startswith(folder)
        found = found.cr_await
    return number


@pytest.mark.parametrize("made", [aiohttp.TCPConnector, OwnProtocols])
def test_nothing_of_ours_waits_for_a_connect(run: Any, made: Any) -> None:
    """Ten thousand that connect take no more memory for it, unless their protocols are of another make."""

    async def main() -> None:
        with SlowHandshake() as server:
            async with session(connector=made(ssl=authority().client())) as client:
                keptalive.hold(client, POLICY)
                request = asyncio.ensure_future(get(client, server.url()))
                while not server.accepted:
                    await asyncio.sleep(0.01)
                waiting = waiting_of_ours(request)
                server.ready.set()
                await request
                assert waiting == (1 if made is OwnProtocols else 0)
                assert kernel(server) == [as_kernel(POLICY)]

    run(main())


def test_connectors_with_protocols_of_their_own(world: World, run: Any) -> None:
    """They are covered, whether a class or a patch makes them, and their bodies are watched."""

    async def main() -> None:
        async with session(connector=OwnProtocols()) as client:
            keptalive.hold(client, POLICY)
            await get(client, world.origin.url())
            assert client.connector.made == 1
        patched = connector()
        patched._wrap_create_connection = partial(OwnProtocols._wrap_create_connection, OwnProtocols())
        async with session(connector=patched) as client:
            keptalive.hold(client, POLICY)
            await get(client, world.secure.url())
            assert kernel(world.origin, world.secure) == [as_kernel(POLICY)]

    run(main())


def test_protocols_of_another_class(world: World, run: Any) -> None:
    """What a connector's own class of protocols does when a connection is made is done, before ours."""
    made: list[Any] = []

    class Protocol(aiohttp.client_proto.ResponseHandler):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            keptalive.apply(transport.get_extra_info("socket"), LATER)
            made.append(self)

    async def main() -> None:
        own = connector()
        own._factory = partial(Protocol, loop=asyncio.get_running_loop())
        async with session(connector=own) as client:
            keptalive.hold(client, POLICY)
            await get(client, world.origin.url())
            assert len(made) == 1
            assert kernel(world.origin) == [as_kernel(POLICY)]

    run(main())


def test_a_copy_of_a_connector_goes_without(world: World, run: Any) -> None:
    """A copy makes its connections as a new connector does."""

    async def main() -> None:
        held = keptalive.hold(connector(), POLICY)
        async with session(connector=copy.copy(held)) as client:
            await get(client, world.origin.url())
            assert unprotected(kernel(world.origin))
        await held.close()

    run(main())


def test_what_is_out_on_a_request(world: World, run: Any) -> None:
    """A connection that waits for its answer when the session is held is covered at once."""

    async def main() -> None:
        async with session() as client:
            waiting = asyncio.ensure_future(get(client, world.origin.url("/wait")))
            while not world.origin.requests:
                await asyncio.sleep(0.01)
            keptalive.hold(client, POLICY)
            assert kernel(world.origin) == [as_kernel(POLICY)]
            world.origin.gate.set()
            assert await waiting == "hello"

    run(main())


def test_settings_stay(world: World, run: Any) -> None:
    """TCP_NODELAY, limits and the connector's class are what they were."""

    async def main() -> None:
        async with session() as client:
            before = type(client.connector), client.connector.limit, client.timeout
            keptalive.hold(client, POLICY)
            assert (type(client.connector), client.connector.limit, client.timeout) == before
            async with client.get(world.origin.url("/part/chunked")) as response:
                assert nodelay(socket_of(response))

    run(main())


def test_proxies_of_the_environment(world: World, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy counts for a held session as for a plain one, and what no_proxy names is covered as well."""
    monkeypatch.setenv("http_proxy", world.proxy.url(""))
    monkeypatch.setenv("no_proxy", "localhost")  # which is 127.0.0.1, but aiohttp compares names

    async def main() -> None:
        async with session(trust_env=True) as client:
            keptalive.hold(client, POLICY)
            await get(client, world.origin.url())
            await get(client, f"http://localhost:{world.elsewhere.port}/")
            assert [seen.path for seen in world.proxy.requests] == [world.origin.url()]
            assert kernel(world.proxy, world.elsewhere) == [as_kernel(POLICY)] * 2

    run(main())


def test_redirects_and_reconnects(world: World, run: Any) -> None:
    """A redirect to another port, a connection closed as announced, one dropped."""

    async def main() -> None:
        async with session() as client:
            keptalive.hold(client, POLICY)
            await get(client, world.origin.url("/close"))
            await get(client, world.origin.url(f"/redirect?to={world.elsewhere.url()}"))
            assert world.origin.accepted == 2
            assert kernel(world.origin, world.elsewhere) == [as_kernel(POLICY)] * 2
            world.origin.drop_connections()
            await get(client, world.origin.url())
            assert kernel(world.origin) == [as_kernel(POLICY)]

    run(main())


def test_no_request_is_added(world: World, run: Any) -> None:
    """aiohttp sends a GET again by itself, a POST never: held or plain, the server sees the same."""

    async def main() -> None:
        counts = []
        for policy in (None, POLICY):
            with Origin() as origin:
                async with session() as client:
                    if policy is not None:
                        keptalive.hold(client, policy)
                    await get(client, origin.url("/drop"))
                    origin._met.clear()
                    with pytest.raises(aiohttp.ServerDisconnectedError):
                        await client.post(origin.url("/drop"))
                counts.append([seen.method for seen in origin.requests])
        assert counts[0] == counts[1]
        assert counts[1].count("POST") == 1

    run(main())


def test_connectors_themselves(world: World, run: Any) -> None:
    """A connector can be held by itself, for all sessions that share it."""

    async def main() -> None:
        shared = keptalive.hold(connector(), POLICY)
        async with session(connector=shared, connector_owner=False) as client:
            await get(client, world.origin.url())
            assert kernel(world.origin) == [as_kernel(POLICY)]
            assert [state.idle for state in keptalive.read(shared)] == [POLICY.idle]
        await shared.close()

    run(main())


def test_held_again_with_another_policy(world: World, run: Any) -> None:
    """The later policy wins, for connections that are open and for those to come."""

    async def main() -> None:
        async with session() as client:
            keptalive.hold(client, POLICY)
            await get(client, world.origin.url())
            keptalive.hold(client, LATER)
            await get(client, world.secure.url())
            assert kernel(world.origin, world.secure) == [as_kernel(LATER)] * 2

    run(main())


def test_response_in_flight(world: World, run: Any) -> None:
    """A response that is still being read can be read and held; a closed one has no connection."""

    async def main() -> None:
        async with session() as client:
            async with client.get(world.secure.url("/part/content-length")) as response:
                assert [state.enabled for state in keptalive.read(response)] == [False]
                keptalive.hold(response, POLICY)
                assert kernel(world.secure) == [as_kernel(POLICY)]
                world.secure.gate.set()
                assert await response.read() == b"done"
            assert keptalive.read(response) == []

    run(main())


def test_websocket(run: Any) -> None:
    """A websocket of a held session is covered; one of a plain session can be held by itself."""

    async def answer(request: Any) -> Any:
        websocket = aiohttp.web.WebSocketResponse()
        await websocket.prepare(request)
        async for message in websocket:
            await websocket.send_str(message.data)
        return websocket

    async def main() -> None:
        app = aiohttp.web.Application()
        app.router.add_get("/", answer)
        async with aiohttp.test_utils.TestServer(app) as server, session() as client:
            async with client.ws_connect(server.make_url("/")) as websocket:
                assert [state.enabled for state in keptalive.read(websocket)] == [False]
                keptalive.hold(websocket, POLICY)
                assert [state.idle for state in keptalive.read(websocket)] == [POLICY.idle]
            keptalive.hold(client, LATER)
            async with client.ws_connect(server.make_url("/")) as websocket:
                assert [state.idle for state in keptalive.read(websocket)] == [LATER.idle]
                await websocket.send_str("hello")
                assert (await websocket.receive()).data == "hello"

    pytest.importorskip("aiohttp.web")
    pytest.importorskip("aiohttp.test_utils")
    run(main())


def test_unix_socket_and_closed_session(run: Any, tmp_path: Path) -> None:
    """Where there is nothing to cover, hold() says nothing."""

    async def main() -> None:
        with Origin(path=tmp_path / "socket") as server:
            unix = aiohttp.UnixConnector(str(tmp_path / "socket"))
            async with session(connector=unix) as client:
                keptalive.hold(client, POLICY)
                assert await get(client, server.url()) == "hello"
                assert keptalive.read(client) == []
        assert keptalive.read(keptalive.hold(client, POLICY)) == []

    run(main())


def test_switched_off(world: World, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """KEPTALIVE_POLICY=off leaves a session as it would be without keptalive."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")

    async def main() -> None:
        async with session() as client:
            keptalive.hold(client, POLICY)
            await get(client, world.origin.url())
            assert unprotected(kernel(world.origin))

    run(main())


def test_trouble_inside_a_connect_harms_nothing(
    world: World, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in keptalive, the request goes on and one warning says so."""

    def broken(*args: object) -> None:
        raise RuntimeError("from inside keptalive")

    async def main() -> None:
        async with session() as client:
            keptalive.hold(client, POLICY)
            monkeypatch.setattr(ours, "_watch_end", broken)
            with pytest.warns(keptalive.KeptaliveWarning, match="from inside keptalive") as seen:
                for _ in range(2):
                    assert await get(client, world.origin.url("/close")) == "hello"
            assert len(seen) == 1

    run(main())


class Flights:
    """Requests on a loop in a thread of its own, each with its own session, begun for `cut_short` to read."""

    def __init__(self, loop: str) -> None:
        self.loop = new_loop(loop)
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.stack = contextlib.AsyncExitStack()

    def __enter__(self) -> Flights:
        return self

    def __exit__(self, *exc: object) -> None:
        self.call(self.stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def start(self, url: str, policy: Policy | None) -> tuple[Any, Callable[[], bytes]]:
        response = self.call(self._begin(url, policy))
        return socket_of(response), lambda: self.call(response.read())

    async def _begin(self, url: str, policy: Policy | None) -> Any:
        client = await self.stack.enter_async_context(session())
        if policy is not None:
            keptalive.hold(client, policy)
        return await client.get(url)


def test_no_answer_cut_short(world: World) -> None:
    """A body whose connection died raises aiohttp's own error; plain sessions are the control."""

    def outcomes_of(loop: str) -> dict[Case, bytes | Exception]:
        with Flights(loop) as begun:
            return endings(world, begun.start)

    with ThreadPoolExecutor(len(LOOPS)) as pool:
        found = dict(zip(LOOPS, pool.map(outcomes_of, LOOPS), strict=True))

    for loop, outcomes in found.items():
        for case, outcome in outcomes.items():
            if case.held or case.framing != "until-close":
                assert isinstance(outcome, aiohttp.ClientPayloadError), f"{loop} {case}: {outcome!r}"
            else:
                assert outcome == b"do", f"{loop} {case}: the control was to be cut short with success"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_whole_answer_stays_whole(world: World, loop: str) -> None:
    """A server that just closes, without TLS close_notify, has said all: no error."""
    with Flights(loop) as begun:
        assert whole_bodies(world, begun.start) == [b"done"] * 6
