"""requests: every connection of a held session, whichever way it goes."""

from __future__ import annotations

import contextlib
import copy
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

import keptalive
from clients.cut_short import check_endings, endings, whole_bodies
from clients.servers import Server
from clients.world import LATER, POLICY, ROUTES, World, as_kernel, kernel, nodelay, unprotected
from keptalive import KeptaliveWarning, Policy

requests = pytest.importorskip("requests")
ours = pytest.importorskip("keptalive.clients.requests")
HTTPAdapter = requests.adapters.HTTPAdapter
urllib3 = pytest.importorskip("urllib3")
Retry = urllib3.util.Retry
# With urllib3 1.26 requests does not count the bytes of a body.
CUT_SHORT = ("until-close", "content-length") if urllib3.__version__ < "2" else ("until-close",)

pytestmark = pytest.mark.filterwarnings(
    "ignore:Unverified HTTPS request"  # of urllib3, for an HTTPS proxy that requests did not ask to verify
)


@pytest.fixture
def session(world: World) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.verify = world.ca
        yield session


def get(session: requests.Session, url: str, **options: object) -> str:
    response = session.get(url, timeout=30, **options)
    assert response.status_code == 200
    return response.text


def use(session: requests.Session, proxy: str | None) -> None:
    session.proxies = {} if proxy is None else {"http": proxy, "https": proxy}


@pytest.mark.parametrize("route", ROUTES)
def test_every_route(world: World, session: requests.Session, route: str) -> None:
    """Direct or through a proxy, with TLS or without: covered if held, not if plain."""
    proxy, url, first = world.route(route)
    use(session, proxy)
    with requests.Session() as plain:
        plain.verify, plain.proxies = world.ca, session.proxies
        assert get(plain, url) == "hello"
        assert unprotected(kernel(first))
        delay = [nodelay(sock) for sock in ours.sockets(plain)]
    keptalive.hold(session, POLICY)

    assert get(session, url) == "hello"
    assert kernel(first) == [as_kernel(POLICY)]
    assert [state.idle for state in keptalive.read(session)] == [POLICY.idle]
    assert [nodelay(sock) for sock in ours.sockets(session)] == delay


def test_proxies_of_the_environment(
    world: World, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """http_proxy counts for a held session as for a plain one, and so does no_proxy."""
    monkeypatch.setenv("http_proxy", world.proxy.url())
    keptalive.hold(session, POLICY)
    get(session, world.origin.url())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    get(session, world.elsewhere.url())

    assert [seen.path for seen in world.proxy.requests] == [world.origin.url()]
    assert kernel(world.proxy) == [as_kernel(POLICY)]
    assert kernel(world.elsewhere) == [as_kernel(POLICY)]


def test_redirects_and_reconnects(world: World, session: requests.Session) -> None:
    """A redirect to another port, a connection closed as announced, one dropped, an answer worth a retry."""
    session.mount("http://", HTTPAdapter(max_retries=Retry(3, status_forcelist=[503], backoff_factor=0)))
    keptalive.hold(session, POLICY)
    for path, requests_seen in (
        ("/close", 1),
        ("/drop", 2),
        ("/busy", 2),
        (f"/redirect?to={world.elsewhere.url()}", 1),
    ):
        world.origin.requests.clear()
        get(session, world.origin.url(path))

        assert len(world.origin.requests) == requests_seen
    assert kernel(world.origin, world.elsewhere) == [as_kernel(POLICY)] * 2
    world.origin.drop_connections()
    get(session, world.origin.url())

    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_what_is_pooled_before(world: World, session: requests.Session) -> None:
    """Connections that wait in the pools are covered at once, behind proxies too."""
    for proxy in (None, world.proxy.url(), world.socks.url()):
        use(session, proxy)
        get(session, world.origin.url())
    servers = (world.proxy, world.socks)
    assert unprotected(kernel(world.origin, *servers))
    keptalive.hold(session, POLICY)

    assert kernel(*servers) == [as_kernel(POLICY)] * 2
    assert as_kernel(POLICY) in kernel(world.origin)  # beside what the proxies opened


def test_what_is_out_on_a_request(world: World, session: requests.Session) -> None:
    """A connection that is in use when its session is held is covered when it comes back."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(get(session, world.origin.url("/wait"))))
    thread.start()
    while not world.origin.requests:
        thread.join(0.01)
    keptalive.hold(session, POLICY)
    world.origin.gate.set()
    thread.join()

    assert answers == ["hello"]
    assert kernel(world.origin) == [as_kernel(POLICY)]
    world.origin.drop_connections()
    get(session, world.origin.url())
    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_read_sees_a_request_that_waits(world: World, session: requests.Session) -> None:
    """Of a held session also the connections in use can be read, and held anew."""
    keptalive.hold(session, POLICY)
    thread = threading.Thread(target=get, args=(session, world.origin.url("/wait")))
    thread.start()
    while not world.origin.requests:
        thread.join(0.01)
    before = [state.idle for state in keptalive.read(session)]
    keptalive.hold(session, LATER)
    after = kernel(world.origin)
    world.origin.gate.set()
    thread.join()

    assert before == [POLICY.idle]
    assert after == [as_kernel(LATER)]


def test_the_last_hold_counts(world: World, session: requests.Session) -> None:
    """Another policy holds for what is open and what comes; the default leaves what is better alone."""
    keptalive.hold(session, POLICY)
    get(session, world.origin.url())
    keptalive.hold(session, LATER)
    get(session, world.elsewhere.url())
    assert kernel(world.origin, world.elsewhere) == [as_kernel(LATER)] * 2
    keptalive.hold(session)

    assert kernel(world.origin, world.elsewhere) == [as_kernel(LATER)] * 2


@pytest.mark.parametrize("framing", ["chunked", "until-close"])
@pytest.mark.parametrize("tls", [False, True])
def test_an_answer_still_being_read(world: World, session: requests.Session, framing: str, tls: bool) -> None:
    """read() and hold() take a response, also one whose connection the session has let go of."""
    server = world.secure if tls else world.origin
    with session.get(server.url(f"/part/{framing}"), stream=True, timeout=30) as response:
        assert [state.enabled for state in keptalive.read(response)] == [False]
        keptalive.hold(response, POLICY)
        assert [state.idle for state in keptalive.read(response)] == [POLICY.idle]
        assert kernel(server) == [as_kernel(POLICY)]


def test_an_answer_of_nothing() -> None:
    """A response that came from no connection has none to read."""
    assert keptalive.read(requests.Response()) == []


def test_adapters_mounted_later(world: World, session: requests.Session) -> None:
    """mount() after hold() is no way around it."""
    keptalive.hold(session, POLICY)
    session.mount("http://", HTTPAdapter())
    get(session, world.origin.url())

    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_an_adapter_alone(world: World, session: requests.Session) -> None:
    """An adapter can be held by itself, and keeps its policy in a session that is held otherwise."""
    adapter = keptalive.hold(HTTPAdapter(), LATER)
    keptalive.hold(session, POLICY)
    session.mount("http://", adapter)
    get(session, world.origin.url())

    assert kernel(world.origin) == [as_kernel(LATER)]


@pytest.mark.parametrize("name", ["TCPKeepAliveAdapter", "SourceAddressAdapter"])
def test_adapters_of_the_toolbelt(world: World, session: requests.Session, name: str) -> None:
    """Adapters with socket options of their own are covered, through a proxy too, where they lose theirs."""
    adapters = pytest.importorskip("requests_toolbelt.adapters.socket_options")
    source = pytest.importorskip("requests_toolbelt.adapters.source")
    make: Callable[[], HTTPAdapter] = {
        "TCPKeepAliveAdapter": lambda: adapters.TCPKeepAliveAdapter(idle=120, interval=20, count=5),
        "SourceAddressAdapter": lambda: source.SourceAddressAdapter("127.0.0.1"),
    }[name]
    session.mount("http://", make())
    with requests.Session() as plain:
        plain.mount("http://", make())
        get(plain, world.origin.url(), proxies={"http": world.proxy.url()})
        assert unprotected(kernel(world.proxy))
    keptalive.hold(session)
    get(session, world.elsewhere.url())
    get(session, world.origin.url(), proxies={"http": world.proxy.url()})

    assert kernel(world.elsewhere, world.proxy) == [as_kernel(Policy())] * 2


def test_an_adapter_with_pools_of_its_own(world: World, session: requests.Session) -> None:
    """The pool an adapter gives to a request is covered, wherever it got it."""
    from urllib3 import HTTPConnectionPool

    class Own(HTTPAdapter):
        def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):
            return pool

        def get_connection(self, url, proxies=None):
            return pool

    with HTTPConnectionPool("127.0.0.1", world.origin.port) as pool:
        session.mount("http://", Own())
        keptalive.hold(session, POLICY)
        get(session, world.origin.url())

        assert kernel(world.origin) == [as_kernel(POLICY)]


class Mock(requests.adapters.BaseAdapter):
    """Answers without a socket."""

    def send(self, request, **options):
        response = requests.Response()
        response.status_code, response._content, response.url = 200, b"mock", request.url
        return response

    def close(self) -> None:
        pass


def test_an_adapter_without_sockets(session: requests.Session) -> None:
    """A mock needs no cover and gets no complaint."""
    session.mount("mock://", Mock())
    keptalive.hold(session)

    assert get(session, "mock://anything") == "mock"
    assert keptalive.read(session) == []


def test_an_adapter_that_shows_nothing(world: World, session: requests.Session) -> None:
    """One that hides its connections is found out by its answer, and named."""

    class Hidden(Mock):
        def send(self, request, **options):
            return inner.send(request, **options)

    with contextlib.closing(HTTPAdapter()) as inner:
        session.mount("http://", Hidden())
        keptalive.hold(session)
        with pytest.warns(KeptaliveWarning, match="Hidden opens connections of its own"):
            assert get(session, world.origin.url()) == "hello"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert get(session, world.origin.url()) == "hello"


def test_copies_and_pickles_are_new(world: World, session: requests.Session) -> None:
    """They work, and speak for themselves."""
    session.headers["X-Test"] = "1"
    keptalive.hold(session, POLICY)
    get(session, world.origin.url())
    with pickle.loads(pickle.dumps(session)) as pickled:
        assert get(pickled, world.elsewhere.url()) == "hello"
        assert pickled.headers["X-Test"] == "1"
        assert unprotected(kernel(world.elsewhere))
    with copy.copy(session) as copied:
        assert get(copied, world.origin.url()) == "hello"


@pytest.mark.parametrize("route", ROUTES)
def test_the_adapter_to_mount(world: World, session: requests.Session, route: str) -> None:
    """HTTPAdapter(policy) covers what it is mounted for, proxies included, and survives pickling."""
    adapter = ours.HTTPAdapter(POLICY, pool_maxsize=3)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    proxy, url, first = world.route(route)
    for each in (session, pickle.loads(pickle.dumps(session))):
        use(each, proxy)
        with each:
            assert get(each, url) == "hello"
            assert kernel(first) == [as_kernel(POLICY)]
            assert each.get_adapter(url)._pool_maxsize == 3


def start(world: World) -> Callable:
    def start(url: str, policy: Policy | None) -> tuple:
        session = requests.Session()
        session.verify = world.ca
        if policy is not None:
            keptalive.hold(session, policy)
        response = session.get(url, stream=True, timeout=30)
        (sock,) = ours.sockets(response)

        def finish() -> bytes:
            with session, response:
                return response.content

        return sock, finish

    return start


def test_a_dead_connection_is_no_end(world: World) -> None:
    """A held session raises where the body is cut short; what a plain one does depends on its Python."""
    check_endings(endings(world, start(world)), requests.RequestException, CUT_SHORT)


def test_a_fin_is_an_end(world: World) -> None:
    """Also over TLS without close_notify."""
    assert whole_bodies(world, start(world)) == [b"done"] * 6


def test_the_user_decides_when_to_give_up(world: World, session: requests.Session) -> None:
    """A read timeout of the user's comes when it did before, once, and no request is repeated."""
    keptalive.hold(session, POLICY)
    with pytest.raises(requests.exceptions.ReadTimeout):
        session.post(world.origin.url("/wait"), timeout=0.2)

    assert len(world.origin.requests) == 1


def peers(server: Server) -> set:
    return {seen.peer for seen in server.requests}


def test_pools_stay_as_they_are(world: World, session: requests.Session) -> None:
    """Connections are reused as before, and the session's type and adapters are the same."""
    adapters = dict(session.adapters)

    assert keptalive.hold(session, POLICY) is session
    for _ in range(3):
        get(session, world.origin.url())
    assert len(peers(world.origin)) == 1
    assert type(session) is requests.Session
    assert dict(session.adapters) == adapters
