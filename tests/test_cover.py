"""Cover: protects, reads back, and never raises."""

from __future__ import annotations

import logging
import socket
import warnings

import pytest

from keptalive import KeptaliveWarning, Policy
from keptalive.cover import Cover
from support import tcp_pair
from test_sockets import Stubborn, kernel_holds


def test_protects() -> None:
    """One call, and the kernel holds the policy."""
    with tcp_pair() as (client, _):
        Cover(Policy(20, 10, 3)).protect(client)

        assert kernel_holds(client) == (True, 20, 10, 3)


def test_the_default_leaves_better_sockets_alone() -> None:
    """The short cut for fresh sockets keeps the rule of apply()."""
    with tcp_pair() as (client, _):
        Cover(Policy(5, 5, 5)).protect(client)
        Cover().protect(client)

        assert kernel_holds(client) == (True, 5, 5, 5)


def test_nothing_to_do() -> None:
    """No socket, a Unix socket, a datagram socket and a closed one are fine in silence."""
    cover = Cover()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cover.protect(None)
        with socket.socket(socket.AF_UNIX) as unix, socket.socket(type=socket.SOCK_DGRAM) as udp:
            cover.protect(unix)
            cover.protect(udp)
        cover.protect(unix)


def test_trouble_warns_once_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The first time as a warning, each time in the log, never as an exception."""
    cover = Cover(Policy(20, 10, 3))
    with tcp_pair() as (client, _), caplog.at_level(logging.WARNING, logger="keptalive"):
        broken = Stubborn(client, socket.TCP_KEEPIDLE)
        with pytest.warns(KeptaliveWarning, match="idle: the kernel refused 20"):
            cover.protect(broken)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cover.protect(broken)

    assert len(caplog.records) == 2


def test_trouble_does_not_raise_where_warnings_are_errors() -> None:
    """A program run with -W error keeps its connection."""
    with tcp_pair() as (client, _), warnings.catch_warnings():
        warnings.simplefilter("error")
        Cover(Policy(20, 10, 3)).protect(Stubborn(client, socket.TCP_KEEPIDLE))


def test_a_strange_object_does_not_raise() -> None:
    """Whatever a library hands over, the program goes on."""
    with pytest.warns(KeptaliveWarning, match="not protected"):
        Cover().protect(object())
