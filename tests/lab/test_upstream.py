"""Addresses as people write them."""

from __future__ import annotations

import pytest

from keptalive.errors import BadInput
from keptalive.lab.upstream import parse_address, resolve


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("api.example:443", ("api.example", 443)),
        ("[::1]:8080", ("::1", 8080)),
        ("[fe80::1%eth0]:22", ("fe80::1%eth0", 22)),
    ],
)
def test_read(text: str, expected: tuple[str, int]) -> None:
    """Host and port."""
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "host", ":80", "host:", "host:x", "host:65536", "::1:80", "[::1]", "http://h:80", "h:\u0661"]
)
def test_refused(text: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(BadInput, match="is not HOST:PORT, with an IPv6 address in brackets"):
        parse_address(text)


def test_resolve() -> None:
    """A numeric address stands for itself, a name for all of its own; what is none is refused."""
    assert resolve("127.0.0.1", 80) == [("127.0.0.1", 80)]
    assert ("127.0.0.1", 80) in resolve("localhost", 80)
    with pytest.raises(BadInput, match=r"there is no host 'nothing\.invalid'"):
        resolve("nothing.invalid", 80)
    with pytest.raises(BadInput, match="there is no host"):
        resolve("a" * 70 + ".example", 80)
    with pytest.raises(BadInput, match="0 is not a port to relay to"):
        resolve("127.0.0.1", 0)
