"""One port at several addresses."""

from __future__ import annotations

import socket

import pytest

from keptalive.lab.listeners import listen
from support import require


def ipv6_on_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_the_same_free_port_at_each_address() -> None:
    """Port 0 means any that is free at all of them."""
    require(ipv6_on_loopback(), "no IPv6 on loopback")
    listeners = listen(["127.0.0.1", "::1", "127.0.0.2"])
    ports = {listener.getsockname()[1] for listener in listeners}
    hosts = [listener.getsockname()[0] for listener in listeners]
    for listener in listeners:
        listener.close()

    assert len(ports) == 1
    assert hosts == ["127.0.0.1", "::1", "127.0.0.2"]


def test_a_port_that_is_taken_is_refused_and_nothing_stays_open() -> None:
    """An error of bind(2), not a port of our own choice."""
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen(["127.0.0.1", "127.0.0.2"], port)
        with socket.create_server(("127.0.0.1", port)):
            pass
