"""urllib.request: a held opener, its handlers, and the way through proxies and redirects."""

from __future__ import annotations

import copy
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

import keptalive
import keptalive.clients.urllib_request as ours
from clients.cut_short import check_endings, endings, whole_bodies
from clients.servers import authority
from clients.world import LATER, POLICY, ROUTES, World, as_kernel, kernel, unprotected
from keptalive import KeptaliveWarning, Policy, Uncovered

Reader = Callable[[Any], list[tuple[int, ...]]]
# urllib knows no SOCKS, and speaks to an HTTPS proxy over plain HTTP.
OWN_ROUTES = [route for route in ROUTES if "SOCKS" not in route and "HTTPS proxy" not in route]


def opener(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    tls = urllib.request.HTTPSHandler(context=authority().client())
    return urllib.request.build_opener(tls, *handlers)


def held_while_reading(
    target: urllib.request.OpenerDirector, url: str, *servers: Any
) -> list[tuple[int, ...]]:
    """Open a URL and return what the kernel holds before the answer is read."""
    with target.open(url, timeout=30) as response:
        states = kernel(*servers)
        response.read()
    return states


@pytest.mark.parametrize("route", OWN_ROUTES)
def test_every_route(world: World, route: str) -> None:
    """Direct or through a proxy, with TLS or without: covered if held, not if plain."""
    proxy, url, first = world.route(route)
    proxies = urllib.request.ProxyHandler({} if proxy is None else {"http": proxy, "https": proxy})
    url += "part/content-length"
    world.origin.gate.set()
    world.secure.gate.set()

    assert unprotected(held_while_reading(opener(proxies), url, first))
    assert held_while_reading(keptalive.hold(opener(proxies), POLICY), url, first) == [as_kernel(POLICY)]


def test_proxies_of_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy counts for a held opener as for a plain one, and so does no_proxy."""
    monkeypatch.setenv("http_proxy", world.proxy.url())
    held = keptalive.hold(opener(), POLICY)
    url = world.origin.url("/part/content-length")
    world.origin.gate.set()
    through = held_while_reading(held, url, world.proxy)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    past = held_while_reading(held, url, world.origin)

    assert through == past == [as_kernel(POLICY)]
    assert len(world.proxy.requests) == 1


def test_a_redirect(world: World) -> None:
    """The connection to the other port is covered, and the one after a close."""
    held = keptalive.hold(opener(), POLICY)
    world.elsewhere.gate.set()
    url = world.origin.url("/redirect?to=" + world.elsewhere.url("/part/content-length"))
    for _ in range(2):
        assert held_while_reading(held, url, world.elsewhere) == [as_kernel(POLICY)]


def test_handlers_added_later(world: World) -> None:
    """add_handler() after hold() is no way around it."""
    held = urllib.request.OpenerDirector()
    keptalive.hold(held, POLICY)
    held.add_handler(urllib.request.HTTPHandler())
    world.origin.gate.set()

    assert held_while_reading(held, world.origin.url("/part/chunked"), world.origin) == [as_kernel(POLICY)]


def test_the_global_opener(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held opener that is installed covers urlopen()."""
    monkeypatch.setattr(urllib.request, "_opener", None)
    urllib.request.install_opener(keptalive.hold(opener(), POLICY))
    with urllib.request.urlopen(world.origin.url("/part/chunked"), timeout=30) as response:
        assert kernel(world.origin) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(response)] == [POLICY.idle]


def test_one_handler_and_the_last_hold(world: World) -> None:
    """A handler can be held alone; the last policy counts."""
    handler = keptalive.hold(urllib.request.HTTPHandler(), POLICY)
    world.origin.gate.set()
    url = world.origin.url("/part/chunked")
    assert held_while_reading(opener(handler), url, world.origin) == [as_kernel(POLICY)]
    keptalive.hold(handler, LATER)

    assert held_while_reading(opener(handler), url, world.origin) == [as_kernel(LATER)]


def test_the_handlers_of_ours(world: World) -> None:
    """HTTPHandler and HTTPSHandler take the place of the standard library's in build_opener()."""
    with_ours = urllib.request.build_opener(
        ours.HTTPHandler(POLICY), ours.HTTPSHandler(POLICY, context=authority().client())
    )
    for server in (world.origin, world.secure):
        server.gate.set()
        assert held_while_reading(with_ours, server.url("/part/chunked"), server) == [as_kernel(POLICY)]
    assert [type(h) for h in with_ours.handlers if isinstance(h, urllib.request.AbstractHTTPHandler)] == [
        ours.HTTPHandler,
        ours.HTTPSHandler,
    ]
    urllib.request.build_opener(ours.HTTPHandler, ours.HTTPSHandler)  # classes do as well


def test_answers_still_being_read(world: World) -> None:
    """read() and hold() take an answer, and an error that is one."""
    world.origin.pages["/there"] = b"{}"
    with opener().open(world.secure.url("/part/chunked"), timeout=30) as response:
        assert [state.enabled for state in keptalive.read(response)] == [False]
        keptalive.hold(response, POLICY)
        assert kernel(world.secure) == [as_kernel(POLICY)]
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener().open(world.origin.url("/busy"), timeout=30)
    with caught.value as error:
        assert [state.enabled for state in keptalive.read(error)] == [False]
        keptalive.hold(error, POLICY)
        assert [state.idle for state in keptalive.read(error)] == [POLICY.idle]
        assert error.read() == b"later"
    with urllib.request.urlopen("data:,hello") as response:
        assert keptalive.read(response) == []
    assert keptalive.read(opener()) == []


class Stranger(urllib.request.BaseHandler):
    """Opens http: in its own way."""

    def http_open(self, request: urllib.request.Request) -> None:
        raise NotImplementedError


def test_a_handler_with_connections_of_its_own(world: World) -> None:
    """Refused by name, before anything is changed; or passed over with a warning."""
    strange = opener()
    strange.add_handler(Stranger())
    with pytest.raises(Uncovered, match="Stranger"):
        keptalive.hold(strange)
    world.secure.gate.set()
    assert unprotected(held_while_reading(strange, world.secure.url("/part/chunked"), world.secure))
    with pytest.warns(KeptaliveWarning, match="Stranger"):
        keptalive.hold(strange, POLICY, strict=False)

    states = held_while_reading(strange, world.secure.url("/part/chunked"), world.secure)
    assert states == [as_kernel(POLICY)]


def test_a_copy(world: World) -> None:
    """It works; its handlers are those of the original."""
    world.origin.gate.set()
    copied = copy.copy(keptalive.hold(opener(), POLICY))
    assert held_while_reading(copied, world.origin.url("/part/chunked"), world.origin) == [as_kernel(POLICY)]


def start(_world: World) -> Callable:
    def start(url: str, policy: Policy | None) -> tuple:
        target = opener()
        if policy is not None:
            keptalive.hold(target, policy)
        response = target.open(url, timeout=30)
        (sock,) = ours.sockets(response)

        def finish() -> bytes:
            with response:
                return response.read()

        return sock, finish

    return start


def test_a_dead_connection_is_no_end(world: World) -> None:
    """A held opener raises where the body is cut short; what a plain one does depends on its Python."""
    import http.client

    check_endings(endings(world, start(world)), (TimeoutError, http.client.IncompleteRead))


def test_a_fin_is_an_end(world: World) -> None:
    """Also over TLS without close_notify."""
    assert whole_bodies(world, start(world)) == [b"done"] * 6
