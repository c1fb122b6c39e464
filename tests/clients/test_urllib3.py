"""urllib3: held managers and pools, whatever they make and have made."""

from __future__ import annotations

import copy
import gc
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import keptalive
from clients.cut_short import check_endings, endings, whole_bodies
from clients.servers import Server
from clients.world import LATER, POLICY, ROUTES, World, as_kernel, kernel, nodelay, unprotected
from keptalive import KeptaliveWarning, Policy

urllib3 = pytest.importorskip("urllib3")
ours = pytest.importorskip("keptalive.clients.urllib3")


def manager(world: World, proxy: str | None = None, **options: Any) -> urllib3.PoolManager:
    options.setdefault("ca_certs", world.ca)
    if proxy is None:
        return urllib3.PoolManager(**options)
    if proxy.startswith("socks"):
        return pytest.importorskip("urllib3.contrib.socks").SOCKSProxyManager(proxy, **options)
    return urllib3.ProxyManager(proxy, **options)


@pytest.fixture
def pools(world: World) -> Iterator[urllib3.PoolManager]:
    with manager(world) as pools:
        yield pools


def get(client: Any, url: str, **options: Any) -> bytes:
    response = client.request("GET", url, timeout=30, **options)
    assert response.status == 200
    return response.data


@pytest.mark.parametrize("route", ROUTES)
def test_every_route(world: World, route: str) -> None:
    """Direct or through a proxy, with TLS or without: covered if held, not if plain."""
    proxy, url, first = world.route(route)
    with manager(world, proxy) as plain:
        assert get(plain, url) == b"hello"
        assert unprotected(kernel(first))
        delay = [nodelay(sock) for sock in ours.sockets(plain)]
    with keptalive.hold(manager(world, proxy), POLICY) as held:
        assert get(held, url) == b"hello"
        assert kernel(first) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(held)] == [POLICY.idle]
        assert [nodelay(sock) for sock in ours.sockets(held)] == delay


def test_redirects_and_reconnects(world: World, pools: urllib3.PoolManager) -> None:
    """A redirect to another port, a connection closed as announced, one dropped, an answer worth a retry."""
    keptalive.hold(pools, POLICY)
    retries = urllib3.util.Retry(3, status_forcelist=[503], backoff_factor=0)
    for path, requests_seen in (
        ("/close", 1),
        ("/drop", 2),
        ("/busy", 2),
        (f"/redirect?to={world.elsewhere.url()}", 1),
    ):
        world.origin.requests.clear()
        get(pools, world.origin.url(path), retries=retries)

        assert len(world.origin.requests) == requests_seen
    assert kernel(world.origin, world.elsewhere) == [as_kernel(POLICY)] * 2
    world.origin.drop_connections()
    get(pools, world.origin.url())

    assert kernel(world.origin) == [as_kernel(POLICY)]


def in_background(work: Callable, server: Server) -> threading.Thread:
    """Start *work* and return when its request has arrived."""
    server.requests.clear()
    thread = threading.Thread(target=work)
    thread.start()
    while not server.requests:
        thread.join(0.01)
    return thread


@pytest.mark.parametrize("closing", [False, True])
def test_what_is_open_before(world: World, pools: urllib3.PoolManager, closing: bool) -> None:
    """A waiting connection is covered at once, one in use when it comes back, or not if it does not."""
    get(pools, world.elsewhere.url())
    thread = in_background(lambda: get(pools, world.origin.url("/wait")), world.origin)
    keptalive.hold(pools, POLICY)
    assert kernel(world.elsewhere) == [as_kernel(POLICY)]
    assert unprotected(kernel(world.origin))
    if closing:
        pools.clear()
    world.origin.gate.set()
    thread.join()
    if not closing:
        assert kernel(world.origin) == [as_kernel(POLICY)]
    assert get(pools, world.origin.url()) == b"hello"
    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_the_last_hold_counts(world: World, pools: urllib3.PoolManager) -> None:
    """Also for a connection in use, if its pool was held when it was made."""
    keptalive.hold(pools, POLICY)
    get(pools, world.elsewhere.url())
    thread = in_background(lambda: get(pools, world.origin.url("/wait")), world.origin)
    assert [state.idle for state in keptalive.read(pools)] == [POLICY.idle] * 2
    keptalive.hold(pools, LATER)

    assert kernel(world.elsewhere, world.origin) == [as_kernel(LATER)] * 2
    world.origin.gate.set()
    thread.join()


def test_one_pool(world: World) -> None:
    """A pool alone, made by hand or taken from a manager that is not held."""
    with (
        keptalive.hold(urllib3.HTTPConnectionPool("127.0.0.1", world.origin.port), POLICY) as pool,
        keptalive.hold(
            urllib3.HTTPSConnectionPool("127.0.0.1", world.secure.port, ca_certs=world.ca), POLICY
        ) as secure,
    ):
        assert get(pool, "/") == get(secure, "/") == b"hello"
        assert kernel(world.origin, world.secure) == [as_kernel(POLICY)] * 2
    assert keptalive.read(keptalive.hold(pool)) == []  # closed


def test_one_connection(world: World) -> None:
    """A connection of urllib3's without a pool."""
    connection = keptalive.hold(urllib3.connection.HTTPConnection("127.0.0.1", world.origin.port), POLICY)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    assert kernel(world.origin) == [as_kernel(POLICY)]
    assert [state.idle for state in keptalive.read(connection)] == [POLICY.idle]
    connection.close()


def test_socket_options_of_the_user_stay(world: World) -> None:
    """Keepalive of the user's own that is better than the default policy is left alone."""
    options = keptalive.socket_options(LATER)
    with keptalive.hold(manager(world, socket_options=options)) as pools:
        get(pools, world.origin.url())
        assert kernel(world.origin) == [as_kernel(LATER)]


def test_the_recipe(world: World) -> None:
    """socket_options= with keptalive.socket_options(), added to urllib3's own; proxies take it as well."""
    options = urllib3.connection.HTTPConnection.default_socket_options + keptalive.socket_options(POLICY)
    for proxy, first in ((None, world.origin), (world.proxy.url(), world.proxy)):
        with manager(world, proxy, socket_options=options) as pools:
            get(pools, world.origin.url())
            assert kernel(first) == [as_kernel(POLICY)]
            assert [nodelay(sock) for sock in ours.sockets(pools)] == [True]


@pytest.mark.parametrize("framing", ["content-length", "until-close"])
def test_an_answer_still_being_read(world: World, pools: urllib3.PoolManager, framing: str) -> None:
    """read() and hold() take a response, also one whose connection has let go of its socket."""
    response = pools.request("GET", world.secure.url(f"/part/{framing}"), preload_content=False)
    assert [state.enabled for state in keptalive.read(response)] == [False]
    keptalive.hold(response, POLICY)
    assert kernel(world.secure) == [as_kernel(POLICY)]
    world.secure.gate.set()
    assert response.read() == b"done"
    assert keptalive.read(response) == []
    response.release_conn()


def test_a_pool_of_strange_connections(world: World, pools: urllib3.PoolManager) -> None:
    """Whatever goes wrong inside keptalive, the request goes on; it is said once."""
    keptalive.hold(pools, POLICY)
    pool = pools.connection_from_url(world.origin.url())

    class Strange(pool.ConnectionCls):
        def _new_conn(self) -> Any:
            return Opaque(super()._new_conn())

    pool.ConnectionCls = Strange
    with pytest.warns(KeptaliveWarning, match="not protected"):
        assert get(pools, world.origin.url()) == b"hello"
    world.origin.drop_connections()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get(pools, world.origin.url()) == b"hello"


class Opaque:
    """A socket that shows nothing of itself."""

    def __init__(self, sock: Any) -> None:
        self._of = sock

    def __getattr__(self, name: str) -> Any:
        if name in ("family", "socket"):
            raise AttributeError(name)
        return getattr(self._of, name)


def test_a_held_pool_is_not_kept_alive(world: World) -> None:
    """A manager that is let go closes its connections, as before."""
    pools = keptalive.hold(manager(world), POLICY)
    get(pools, world.origin.url())
    assert len(kernel(world.origin)) == 1
    gone = weakref.ref(pools)
    del pools

    assert gone() is None
    gc.collect()
    assert kernel(world.origin) == []


def test_a_copy_of_a_manager(world: World, pools: urllib3.PoolManager) -> None:
    """It works; the pools it has are those of the original, the ones it makes are new."""
    keptalive.hold(pools, POLICY)
    get(pools, world.origin.url())
    copied = copy.copy(pools)
    assert get(copied, world.origin.url()) == b"hello"
    assert get(copied, world.elsewhere.url()) == b"hello"

    assert unprotected(kernel(world.elsewhere))


def test_many_threads(world: World) -> None:
    """Held from several threads while others send: every connection ends up covered."""
    with manager(world, maxsize=8) as pools:
        gate = threading.Barrier(8)

        def work(number: int) -> None:
            gate.wait()
            if number % 2:
                keptalive.hold(pools, POLICY)
            for _ in range(5):
                get(pools, world.origin.url())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        states = kernel(world.origin)
        assert states
        assert set(states) == {as_kernel(POLICY)}


def start(world: World) -> Callable:
    def start(url: str, policy: Policy | None) -> tuple:
        pools = manager(world, timeout=30)
        if policy is not None:
            keptalive.hold(pools, policy)
        response = pools.request("GET", url, preload_content=False, enforce_content_length=True)
        (sock,) = ours.sockets(response)

        def finish() -> bytes:
            with pools:
                try:
                    return response.read()
                finally:
                    response.close()

        return sock, finish

    return start


def test_a_dead_connection_is_no_end(world: World) -> None:
    """A held manager raises where the body is cut short; what a plain one does depends on its Python."""
    check_endings(endings(world, start(world)), urllib3.exceptions.HTTPError)


def test_a_fin_is_an_end(world: World) -> None:
    """Also over TLS without close_notify."""
    assert whole_bodies(world, start(world)) == [b"done"] * 6
