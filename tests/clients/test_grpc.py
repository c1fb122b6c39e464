"""gRPC: the channel options are what its core takes, and hold() says what to do instead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

import keptalive
from clients.world import POLICY
from keptalive import Policy
from matrix.witness import established

grpc = pytest.importorskip("grpc")
ours = pytest.importorskip("keptalive.clients.grpc")

TCP_USER_TIMEOUT = 18  # linux/tcp.h
METHOD = "/keptalive.Test/Echo"


def test_options() -> None:
    """Seconds become milliseconds; the limit of two pings is lifted."""
    assert dict(ours.channel_options(Policy(idle=60, interval=15, count=4))) == {
        "grpc.keepalive_time_ms": 60_000,
        "grpc.keepalive_timeout_ms": 60_000,
        "grpc.http2.max_pings_without_data": 0,
        "grpc.keepalive_permit_without_calls": 0,
    }
    patient = ours.channel_options(Policy(idle=60, interval=15, count=4, user_timeout=90.5))
    assert dict(patient)["grpc.keepalive_timeout_ms"] == 90_500
    assert dict(ours.channel_options())["grpc.keepalive_time_ms"] == 45_000


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """KEPTALIVE_POLICY=off leaves gRPC its defaults."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")
    assert ours.channel_options(POLICY) == []


class _Echo:
    """Answers each call with its request."""

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


def test_the_core_takes_them() -> None:
    """With the options gRPC sets TCP_USER_TIMEOUT to the keepalive timeout; without, it does not."""
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((_Echo(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            assert _user_timeout(port, []) == 0
            assert _user_timeout(port, ours.channel_options(POLICY)) == POLICY.interval * POLICY.count * 1000
        finally:
            server.stop(None).wait()


def _user_timeout(port: int, options: list[tuple[str, int]]) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        assert channel.unary_unary(METHOD)(b"hello", timeout=30) == b"hello"
        with established("127.0.0.1") as found:
            (sock,) = (sock for its_port, sock in found if its_port == port)
            milliseconds: int = sock.getsockopt(6, TCP_USER_TIMEOUT)
            return milliseconds


def test_servers_that_are_not_set_up_end_the_call() -> None:
    """What the documentation warns of: a default server ends a call at the third ping."""
    often = ours.channel_options(Policy(idle=1, interval=1, count=9))
    allowed = [("grpc.http2.min_ping_interval_without_data_ms", 500)]
    with ThreadPoolExecutor(2) as pool:
        by_default, when_told = pool.map(lambda options: _slow_call(options, often), ([], allowed))
    assert by_default == "Too many pings"
    assert when_told == b"late"


def _slow_call(server_options: list[tuple[str, int]], options: list[tuple[str, int]]) -> object:
    """Return the answer of a call that takes six seconds, or why it failed."""
    over = Event()

    class Slow:
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: (over.wait(6), b"late")[1])

    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, options=server_options)
        server.add_generic_rpc_handlers((Slow(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
                return channel.unary_unary(METHOD)(b"", timeout=30)
        except grpc.RpcError as error:
            return error.details()
        finally:
            over.set()
            server.stop(None).wait()


def test_a_channel_cannot_be_held() -> None:
    """hold() names `keptalive run` and channel_options()."""
    with (
        grpc.insecure_channel("127.0.0.1:9") as channel,
        pytest.raises(keptalive.Uncovered, match=r"keptalive run.*channel_options\(\)"),
    ):
        keptalive.hold(channel, POLICY)
