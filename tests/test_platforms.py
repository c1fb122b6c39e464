"""The platform table: the numbers of this machine, the limits of all."""

from __future__ import annotations

import socket
import sys

import pytest

from keptalive import Policy, PolicyError, platforms
from keptalive.platforms import FREEBSD, LINUX, MACOS, PLATFORMS, WINDOWS, Platform
from keptalive.sockets import option_values
from support import tcp_pair


def test_this_system_is_chosen() -> None:
    """current() is the row of sys.platform."""
    assert sys.platform.startswith(platforms.current().sys_platform)


def test_numbers_are_those_of_the_socket_module() -> None:
    """Where the socket module names an option, the table's number is the same."""
    for option in platforms.current().options.values():
        named = getattr(socket, option.name, None)
        assert named in (None, option.number), option.name
        level = socket.SOL_SOCKET if option.name == "SO_KEEPALIVE" else socket.IPPROTO_TCP
        assert option.level == level


@pytest.mark.parametrize("field", ["idle", "interval", "count"])
def test_limits_are_the_kernels(field: str) -> None:
    """The kernel takes both ends of each range and refuses what is beyond."""
    option = platforms.current().options[field]  # type: ignore[index]
    with tcp_pair() as (client, _):
        for value in (option.minimum, option.maximum):
            client.setsockopt(option.level, option.number, value)
            assert client.getsockopt(option.level, option.number) == value
        for value in (option.minimum - 1, option.maximum + 1):
            with pytest.raises(OSError, match=r".*"):
                client.setsockopt(option.level, option.number, value)


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda p: p.name)
def test_every_row_is_complete(platform: Platform) -> None:
    """Each field is an option or says why it is missing; the default policy fits everywhere."""
    for field in platforms.FIELDS:
        assert (field in platform.options) != (field in platform.missing)
    values = option_values(Policy(), platform)

    assert list(values) == ["idle", "interval", "count", "enabled"]


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        (LINUX, [(6, 4, 60), (6, 5, 15), (6, 6, 9), (6, 18, 2500), (1, 9, 1)]),
        (MACOS, [(6, 0x10, 60), (6, 0x101, 15), (6, 0x102, 9), (6, 0x80, 3), (0xFFFF, 8, 1)]),
        (WINDOWS, [(6, 3, 60), (6, 17, 15), (6, 16, 9), (6, 5, 3), (0xFFFF, 8, 1)]),
        (FREEBSD, [(6, 256, 60), (6, 512, 15), (6, 1024, 9), (0xFFFF, 8, 1)]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_encoding(platform: Platform, expected: list[tuple[int, int, int]]) -> None:
    """Seconds become each system's unit; whole seconds round up; SO_KEEPALIVE comes last."""
    assert list(option_values(Policy(60, 15, 9, 2.5), platform).values()) == expected


@pytest.mark.parametrize(
    ("platform", "policy", "words"),
    [
        (LINUX, Policy(32768, 1, 1), r"idle = 32768 s .* TCP_KEEPIDLE: 1 to 32767 s"),
        (LINUX, Policy(32767, 32767, 128), r"count = 128 .* TCP_KEEPCNT: 1 to 127"),
        (WINDOWS, Policy(60, 15, 256), r"count = 256 .* 1 to 255"),
    ],
)
def test_limits_are_named(platform: Platform, policy: Policy, words: str) -> None:
    """A value outside a limit is a ValueError that names it."""
    with pytest.raises(PolicyError, match=words):
        option_values(policy, platform)


def test_an_unknown_system_says_so() -> None:
    """No guess of numbers: every field is missing, with the reason."""
    row = platforms.lookup("plan9")

    assert row.options == {}
    assert all("plan9" in reason for reason in row.missing.values())
