"""Addresses and ports, as recorded and as written."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keptalive.errors import BadInput
from keptalive.linux import endpoints


@given(st.binary(min_size=16, max_size=16))
def test_any_ipv6_address(address: bytes) -> None:
    """Text from which the same bytes come back."""
    text = endpoints.address_text(address)

    assert socket.inet_pton(socket.AF_INET6, text[1:-1]) == address


def test_an_interface_that_is_not_here_is_a_number() -> None:
    """As in another namespace; RFC 4007 allows that."""
    address = socket.inet_pton(socket.AF_INET6, "fe80::1")

    assert endpoints.address_text(endpoints.with_interface(address, 987654)) == "[fe80::1%987654]"


def test_only_link_local_addresses_need_an_interface() -> None:
    """A socket may be bound to an interface and have any address."""
    address = socket.inet_pton(socket.AF_INET6, "2001:db8::1")

    assert endpoints.with_interface(address, 1) == address


def _v4(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET, text)


def _v6(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


@pytest.mark.parametrize(
    ("written", "address", "port", "matches"),
    [
        ("192.0.2.1", _v4("192.0.2.1"), 80, True),
        ("192.0.2.1", _v4("192.0.2.2"), 80, False),
        ("192.0.2.1:80", _v4("192.0.2.1"), 80, True),
        ("192.0.2.1:80", _v4("192.0.2.1"), 81, False),
        ("192.0.2.1", _v6("::ffff:192.0.2.1"), 80, True),
        (":443", _v4("192.0.2.1"), 443, True),
        (":443", _v6("2001:db8::1"), 443, True),
        (":443", _v4("192.0.2.1"), 80, False),
        (":https", _v4("192.0.2.1"), 443, True),
        ("2001:db8::1", _v6("2001:db8::1"), 80, True),
        ("[2001:db8::1]:80", _v6("2001:db8::1"), 80, True),
        ("[2001:db8::1]:80", _v6("2001:db8::1"), 81, False),
        ("[2001:db8::1]", _v6("2001:db8::1"), 81, True),
        ("fe80::1", endpoints.with_interface(_v6("fe80::1"), 3), 80, True),
        ("localhost", _v4("127.0.0.1"), 80, True),
    ],
)
def test_what_is_written_matches(written: str, address: bytes, port: int, matches: bool) -> None:
    """Host, port or both, by name or number."""
    assert endpoints.matcher(written)(address, port) is matches


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("no such host.invalid", "there is no host 'no such host.invalid' ("),
        ("a..b", "there is no host 'a..b' ("),
        ("443", "'443' is not the name or address of a host: did you mean :443?"),
        ("2130706433", "'2130706433' is not the name or address of a host"),
        (":0", "0 is not a port: they go from 1 to 65535"),
        ("127.0.0.1:99999999999", "99999999999 is not a port: they go from 1 to 65535"),
        ("127.0.0.1:abc", "'abc' is not a port: it is a number from 1 to 65535"),
        ("127.0.0.1:", "'' is not a port"),
        ("http://foo/", "'http://foo/' is not HOST, HOST:PORT or :PORT: leave out the scheme"),
        ("[::1", "'[::1' is not the name or address of a host: write [::1] or [::1]:443"),
        ("[::1]443", "'[::1]443' is not the name or address of a host"),
        ("[]:443", "'[]:443' is not the name or address of a host"),
    ],
)
def test_what_is_no_end_is_an_error(written: str, says: str) -> None:
    """In one sentence: what nobody can be connected to would look like a machine without a problem."""
    with pytest.raises(BadInput) as caught:
        endpoints.matcher(written)

    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("written", ["", ":"])
def test_nothing_is_no_end(written: str) -> None:
    """It is not taken for everything."""
    with pytest.raises(BadInput, match="is not HOST, HOST:PORT or :PORT"):
        endpoints.matcher(written)


_ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


@given(_ADDRESSES, st.integers(1, 65535))
def test_what_is_printed_is_found_again(address: bytes, port: int) -> None:
    """The text of any end, given back as --remote, matches that end, and no other port."""
    found = endpoints.matcher(f"{endpoints.address_text(address)}:{port}")

    assert found(address, port)
    assert not found(address, port % 65535 + 1)


_real_look_up = socket.getaddrinfo


def _without_a_resolver(host: str, port: None, type: int) -> object:
    """Names are nobody's here; addresses are read as ever."""
    return _real_look_up(host, port, type=type, flags=socket.AI_NUMERICHOST)


@given(st.text(alphabet="0123456789abf.:[]%/ \0\udcffé", max_size=12))
@example("1" * 5000)  # int() refuses thousands of digits
@example("127.0.0.1:" + "1" * 5000)
@example("127.0.0.1:\0")
@example("127.0.0.1:\udcff")  # a byte that is no UTF-8, as an argument may hold
def test_any_text_is_an_end_or_refused(text: str) -> None:
    """A test for ends, or BadInput in one line; nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", _without_a_resolver)
        try:
            found = endpoints.matcher(text)
        except BadInput as error:
            assert "\n" not in str(error)
            return
    assert found(bytes(4), 1) in (True, False)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        (_v4("127.0.0.1"), True),
        (_v4("127.255.0.3"), True),
        (_v4("128.0.0.1"), False),
        (_v4("0.0.0.0"), False),
        (_v6("::1"), True),
        (_v6("::ffff:127.0.0.1"), True),
        (_v6("::ffff:192.0.2.1"), False),
        (_v6("7f00::1"), False),
        (endpoints.with_interface(_v6("fe80::1"), 1), False),
    ],
)
def test_loopback(address: bytes, loopback: bool) -> None:
    """Of this machine alone, in either family, and of IPv4 in an IPv6 socket."""
    assert endpoints.is_loopback(address) is loopback
