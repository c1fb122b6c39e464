"""botocore and boto3: held clients, resources and sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

import keptalive
from clients.cut_short import check_endings, endings, whole_bodies
from clients.servers import Server
from clients.world import LATER, POLICY, ROUTES, World, as_kernel, kernel, unprotected
from keptalive import KeptaliveWarning, Policy, Uncovered

botocore = pytest.importorskip("botocore.session")
boto3 = pytest.importorskip("boto3")
ours = pytest.importorskip("keptalive.clients.botocore")
Config = pytest.importorskip("botocore.config").Config
exceptions = pytest.importorskip("botocore.exceptions")

# botocore knows no SOCKS.
OWN_ROUTES = [route for route in ROUTES if "SOCKS" not in route]
KEYS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
}

pytestmark = pytest.mark.filterwarnings(
    "ignore:Unverified HTTPS request",  # of urllib3, for an HTTPS proxy that botocore did not ask to verify
    "ignore:datetime.datetime.utcnow:DeprecationWarning",  # of botocore 1.34
    "ignore:Boto3 will no longer support Python:Warning",
)


def client(world: World, server: Server, proxy: str | None = None, **config: Any) -> Any:
    if proxy is not None:
        config["proxies"] = {"http": proxy, "https": proxy}
    return boto3.client("s3", **KEYS, **_where(world, server, config))


def _where(world: World, server: Server, config: dict[str, Any]) -> dict[str, Any]:
    return {"endpoint_url": server.url(""), "verify": world.ca, "config": Config(**config)}


@pytest.fixture
def s3(world: World) -> Iterator[Any]:
    with closing(client(world, world.origin)) as s3:
        yield s3


def ask(s3: Any, path: str = "anything") -> int:
    """HEAD /path, as a test may choose: botocore calls it a bucket."""
    return s3.head_bucket(Bucket=path)["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("route", OWN_ROUTES)
def test_every_route(world: World, route: str) -> None:
    """Direct or through a proxy, with TLS or without: covered if held, not if plain."""
    proxy, url, first = world.route(route)
    server = world.secure if url.startswith("https") else world.origin
    with closing(client(world, server, proxy)) as plain:
        assert ask(plain) == 200
        assert unprotected(kernel(first))
    with closing(keptalive.hold(client(world, server, proxy), POLICY)) as held:
        assert ask(held) == 200
        assert kernel(first) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(held)] == [POLICY.idle]


def test_its_own_switch_is_not_enough(world: World) -> None:
    """tcp_keepalive=True leaves the idle time at the system's two hours; hold() sets it."""
    with closing(client(world, world.origin, tcp_keepalive=True)) as s3:
        ask(s3)
        assert [state[0] for state in kernel(world.origin)] == [1]
        assert not keptalive.read(s3)[0].protects(Policy())
        keptalive.hold(s3)
        assert kernel(world.origin) == [as_kernel(Policy())]


def test_proxies_of_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy counts for a held client as for a plain one, and so does no_proxy."""
    monkeypatch.setenv("http_proxy", world.proxy.url())
    with closing(keptalive.hold(client(world, world.origin), POLICY)) as s3:
        ask(s3)
        assert len(world.proxy.requests) == 1
        assert kernel(world.proxy) == [as_kernel(POLICY)]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with closing(keptalive.hold(client(world, world.elsewhere), POLICY)) as s3:
        ask(s3)
        assert len(world.proxy.requests) == 1
        assert kernel(world.elsewhere) == [as_kernel(POLICY)]


def test_retries_and_reconnects(world: World, s3: Any) -> None:
    """A connection closed as announced, one dropped, an answer worth a retry: as often as before."""
    keptalive.hold(s3, POLICY)
    for path, requests_seen in (("close", 1), ("drop", 2), ("busy", 2)):
        world.origin.requests.clear()
        assert ask(s3, path) == 200
        assert len(world.origin.requests) == requests_seen
    assert kernel(world.origin) == [as_kernel(POLICY)]
    world.origin.drop_connections()
    ask(s3)

    assert kernel(world.origin) == [as_kernel(POLICY)]


def test_what_is_pooled_before_and_the_last_hold(world: World) -> None:
    """Waiting connections are covered at once, a proxy's too; the last policy counts."""
    for proxy, first in ((None, world.elsewhere), (world.proxy.url(), world.proxy)):
        with closing(client(world, world.elsewhere, proxy)) as s3:
            ask(s3)
            assert unprotected(kernel(first))
            keptalive.hold(s3, POLICY)
            assert kernel(first) == [as_kernel(POLICY)]
            keptalive.hold(s3, LATER)
            assert kernel(first) == [as_kernel(LATER)]


def test_a_resource(world: World) -> None:
    """A resource of boto3, and what is made from it."""
    resource = boto3.resource("s3", **KEYS, **_where(world, world.origin, {}))
    with closing(resource.meta.client):
        bucket = keptalive.hold(resource.Bucket("anything"), POLICY)
        bucket.wait_until_exists()
        assert kernel(world.origin) == [as_kernel(POLICY)]
        assert [state.idle for state in keptalive.read(resource)] == [POLICY.idle]


def test_sessions(world: World) -> None:
    """The clients and resources that a held session makes are held; of either library."""
    session = keptalive.hold(boto3.session.Session(**KEYS), POLICY)
    core = keptalive.hold(botocore.get_session(), POLICY)
    where = _where(world, world.origin, {})
    made = [
        session.client("s3", **where),
        session.resource("s3", **where).meta.client,
        core.create_client("s3", **KEYS, **where),
    ]
    assert keptalive.read(session) == keptalive.read(core) == []
    for number, s3 in enumerate(made, 1):
        ask(s3)
        assert kernel(world.origin) == [as_kernel(POLICY)] * number
    for s3 in made:
        s3.close()


@pytest.mark.parametrize("framing", ["chunked", "until-close"])
def test_an_answer_still_being_read(world: World, s3: Any, framing: str) -> None:
    """read() and hold() take a streaming body."""
    body = s3.get_object(Bucket="part", Key=framing)["Body"]
    assert [state.enabled for state in keptalive.read(body)] == [False]
    keptalive.hold(body, POLICY)
    assert kernel(world.origin) == [as_kernel(POLICY)]
    world.origin.gate.set()
    assert body.read() == b"done"
    assert keptalive.read(body) == []


def test_what_cannot_be_seen_is_refused(world: World, s3: Any) -> None:
    """A client whose HTTP session is not botocore's own is named."""
    own, s3._endpoint.http_session = s3._endpoint.http_session, SimpleNamespace(close=lambda: None)
    with pytest.raises(Uncovered, match="SimpleNamespace cannot be seen"):
        keptalive.hold(s3)
    with pytest.warns(KeptaliveWarning, match="SimpleNamespace cannot be seen"):
        keptalive.hold(s3, strict=False)
    s3._endpoint.http_session = own


def test_the_user_decides_when_to_give_up(world: World) -> None:
    """The read timeout and the number of attempts stay the client's."""
    with closing(client(world, world.origin, read_timeout=0.2, retries={"total_max_attempts": 2})) as s3:
        keptalive.hold(s3, POLICY)
        with pytest.raises(exceptions.ReadTimeoutError):
            ask(s3, "wait")

    assert len(world.origin.requests) == 2


def start(world: World) -> Callable:
    def start(url: str, policy: Policy | None) -> tuple:
        server = world.secure if url.startswith("https") else world.origin
        s3 = client(world, server, retries={"total_max_attempts": 1})
        if policy is not None:
            keptalive.hold(s3, policy)
        body = s3.get_object(Bucket="part", Key=url.rpartition("/")[2])["Body"]
        (sock,) = ours.sockets(body)

        def finish() -> bytes:
            with closing(s3), closing(body):
                return body.read()

        return sock, finish

    return start


def test_a_dead_connection_is_no_end(world: World) -> None:
    """A held client raises where the body is cut short; what a plain one does depends on its Python."""
    check_endings(endings(world, start(world)), exceptions.BotoCoreError)


def test_a_fin_is_an_end(world: World) -> None:
    """Also over TLS without close_notify."""
    assert whole_bodies(world, start(world)) == [b"done"] * 6
