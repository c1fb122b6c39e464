"""pycurl: held handles, with callbacks of the user's own or without."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import keptalive
from clients.cut_short import check_endings, endings
from clients.servers import FRAMINGS
from clients.world import LATER, POLICY, ROUTES, World, as_kernel, kernel, unprotected
from keptalive import KeptaliveWarning, Policy, Uncovered, UnknownTarget

pycurl = pytest.importorskip("pycurl")
ours = pytest.importorskip("keptalive.clients.pycurl")


def handle(world: World, proxy: str | None = None) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.CAINFO, world.ca)
    curl.setopt(pycurl.TIMEOUT, 30)
    curl.setopt(pycurl.FOLLOWLOCATION, 1)
    curl.setopt(pycurl.NOPROXY, "")
    if proxy is not None:
        curl.setopt(pycurl.PROXY, proxy)
        curl.setopt(pycurl.PROXY_CAINFO, world.ca)
    return curl


@pytest.fixture
def curl(world: World) -> Iterator[pycurl.Curl]:
    curl = handle(world)
    yield curl
    curl.close()


def get(curl: pycurl.Curl, url: str) -> bytes:
    body = io.BytesIO()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.WRITEDATA, body)
    curl.perform()
    assert curl.getinfo(pycurl.RESPONSE_CODE) == 200
    return body.getvalue()


@pytest.mark.parametrize("route", ROUTES)
def test_every_route(world: World, route: str) -> None:
    """Direct or through a proxy, with TLS or without: covered if held, not if plain."""
    proxy, url, first = world.route(route)
    for policy in (None, POLICY):
        curl = handle(world, proxy)
        if policy is not None:
            assert keptalive.hold(curl, policy) is curl
        assert get(curl, url) == b"hello"
        if policy is None:
            assert unprotected(kernel(first))
        else:
            assert kernel(first) == [as_kernel(policy)]
            assert [state.idle for state in keptalive.read(curl)] == [policy.idle]
        curl.close()


def test_proxies_of_the_environment(world: World, curl: pycurl.Curl, monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy counts for a held handle as for a plain one."""
    monkeypatch.setenv("http_proxy", world.proxy.url(""))
    keptalive.hold(curl, POLICY)
    get(curl, world.origin.url())

    assert len(world.proxy.requests) == 1
    assert kernel(world.proxy) == [as_kernel(POLICY)]


def test_redirects_and_reconnects(world: World, curl: pycurl.Curl) -> None:
    """A connection to another port, and one after a close, announced or not."""
    keptalive.hold(curl, POLICY)
    get(curl, world.origin.url("/redirect?to=" + world.elsewhere.url()))
    assert kernel(world.origin, world.elsewhere) == [as_kernel(POLICY)] * 2
    get(curl, world.origin.url("/close"))
    get(curl, world.origin.url())
    assert kernel(world.origin) == [as_kernel(POLICY)]
    world.origin.drop_connections()
    get(curl, world.origin.url())

    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_the_last_connection_before(world: World, curl: pycurl.Curl) -> None:
    """What libcurl shows of its pool is covered at once; the last policy counts, for what comes too."""
    assert keptalive.read(curl) == []
    get(curl, world.origin.url())
    assert unprotected(kernel(world.origin))
    for policy in (POLICY, LATER):
        keptalive.hold(curl, policy)
        assert kernel(world.origin) == [as_kernel(policy)]
    get(curl, world.elsewhere.url())

    assert kernel(world.elsewhere) == [as_kernel(LATER)]


def test_options_of_libcurl(world: World, curl: pycurl.Curl) -> None:
    """Keepalive that the user asked libcurl for is left alone where it is better than the default policy."""
    for option, value in ((pycurl.TCP_KEEPALIVE, 1), (pycurl.TCP_KEEPIDLE, 20), (pycurl.TCP_KEEPINTVL, 5)):
        curl.setopt(option, value)
    keptalive.hold(curl)
    get(curl, world.origin.url())

    assert [state[:3] for state in kernel(world.origin)] == [(1, 20, 5)]


def test_a_callback_of_the_users(world: World, curl: pycurl.Curl) -> None:
    """It is called as before, once a connection, and its answer counts; holding twice calls it once."""
    calls = []

    def callback(number: int, purpose: int) -> int:
        calls.append(purpose)
        return pycurl.SOCKOPT_OK if len(calls) < 2 else pycurl.SOCKOPT_ERROR

    curl.setopt(pycurl.SOCKOPTFUNCTION, callback)
    curl.setopt(pycurl.HEADERFUNCTION, lambda line: None)  # one that is not asked
    keptalive.hold(curl, LATER)
    keptalive.hold(curl, POLICY)
    get(curl, world.origin.url())

    assert calls == [pycurl.SOCKTYPE_IPCXN]
    assert kernel(world.origin) == [as_kernel(POLICY)]
    with pytest.raises(pycurl.error):
        get(curl, world.elsewhere.url())


def test_the_callback_alone(world: World, curl: pycurl.Curl) -> None:
    """sockopt_function() is for those who set their options themselves; it calls another one first."""
    calls = []

    def callback(number: int, purpose: int) -> int:
        calls.append(number)
        return pycurl.SOCKOPT_OK

    curl.setopt(pycurl.SOCKOPTFUNCTION, ours.sockopt_function(POLICY, callback))
    get(curl, world.origin.url())

    assert len(calls) == 1
    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_a_user_timeout(world: World, curl: pycurl.Curl) -> None:
    """What libcurl has no option for is set as well."""
    keptalive.hold(curl, Policy(30, 10, 4, user_timeout=70))
    get(curl, world.origin.url())

    assert keptalive.read(curl)[0].user_timeout == 70


def test_trouble_does_not_reach_libcurl() -> None:
    """A descriptor that is no socket is complained of, and libcurl told to go on."""
    with Path(os.devnull).open() as null, pytest.warns(KeptaliveWarning, match="not protected"):
        assert ours.sockopt_function()(null.fileno(), pycurl.SOCKTYPE_IPCXN) == pycurl.SOCKOPT_OK


def test_in_the_middle_of_a_transfer(world: World, curl: pycurl.Curl) -> None:
    """A handle that is busy, or closed, takes no options: refused, with the reason."""
    thread = threading.Thread(target=get, args=(curl, world.origin.url("/wait")))
    thread.start()
    while not world.origin.requests:
        thread.join(0.01)
    with pytest.raises(Uncovered, match="takes no options now"):
        keptalive.hold(curl)
    assert keptalive.read(curl) == []
    world.origin.gate.set()
    thread.join()
    curl.close()
    with pytest.raises(Uncovered, match="takes no options now"):
        keptalive.hold(curl)


def test_several_at_once(world: World) -> None:
    """The handles of a CurlMulti are held one by one; the multi itself is not known."""
    multi = pycurl.CurlMulti()
    curl = keptalive.hold(handle(world), POLICY)
    curl.setopt(pycurl.URL, world.origin.url())
    curl.setopt(pycurl.WRITEFUNCTION, lambda data: None)
    multi.add_handle(curl)
    while multi.perform()[1]:
        multi.select(1.0)

    assert kernel(world.origin) == [as_kernel(POLICY)]
    with pytest.raises(UnknownTarget):
        keptalive.hold(multi)
    multi.remove_handle(curl)
    curl.close()
    multi.close()


def test_a_pycurl_that_hides_its_callbacks(curl: pycurl.Curl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a look at the callbacks one of the user's might be lost: refused."""
    monkeypatch.setattr(ours, "_callbacks_can_be_seen", lambda: False)
    with pytest.raises(Uncovered, match="SOCKOPTFUNCTION"):
        keptalive.hold(curl)


class Transfer:
    """One transfer in a thread, from which the body and libcurl's socket can be had while it lasts."""

    def __init__(self, world: World, url: str, policy: Policy | None) -> None:
        self.body = b""
        self.begun = threading.Event()
        self.error: BaseException | None = None
        self.curl = handle(world)
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._take)
        if policy is None:
            self.curl.setopt(pycurl.SOCKOPTFUNCTION, self._look)
        else:
            keptalive.hold(self.curl, policy)
            then = [c for c in ours.gc.get_referents(self.curl) if isinstance(c, ours.SetPolicy)]
            then[0].then = self._look
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self.begun.wait(30)

    def _look(self, number: int, _purpose: int) -> int:
        self.number = number
        return pycurl.SOCKOPT_OK

    def _take(self, data: bytes) -> None:
        self.body += data
        self.begun.set()

    def _run(self) -> None:
        try:
            self.curl.perform()
        except pycurl.error as error:
            self.error = error

    def finish(self) -> bytes:
        self.thread.join()
        self.curl.close()
        if self.error is not None:
            raise self.error
        return self.body


def start(world: World) -> Callable[[str, Policy | None], tuple[Any, Callable[[], bytes]]]:
    def start(url: str, policy: Policy | None) -> tuple[Any, Callable[[], bytes]]:
        transfer = Transfer(world, url, policy)
        return ours._CurlSocket(transfer.number), transfer.finish

    return start


def test_a_dead_connection_is_no_end(world: World) -> None:
    """libcurl says so itself, held or plain, on every Python."""
    check_endings(endings(world, start(world)), pycurl.error, cut_short=())


def test_a_fin_is_what_it_was(world: World) -> None:
    """The end without close_notify too: an error in newer versions of libcurl, held or not."""

    def outcome(url: str, policy: Policy | None) -> bytes | int:
        try:
            return Transfer(world, url, policy).finish()
        except pycurl.error as error:
            return error.args[0]

    for server in (world.origin, world.secure):
        server.gate.set()
        for framing in FRAMINGS:
            url = server.url(f"/part/{framing}")
            held = outcome(url, POLICY)
            assert held == outcome(url, None)
            assert held == b"done" or (server.tls and framing == "until-close")
