"""THE table: operating system x field -> socket option.

Rule: nothing else in keptalive knows an operating system's numbers or limits,
or asks which one it runs on. The numbers stand here instead of coming from the
`socket` module, so that every row can be checked and documented on any machine,
and because a missing name there does not mean a missing option (Python named
macOS's TCP_KEEPALIVE in 3.10 only) nor a present one the right meaning (macOS
calls *idle* what others call keepalive).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from keptalive.errors import PolicyError

if TYPE_CHECKING:
    from keptalive.policy import Policy

Field = Literal["enabled", "idle", "interval", "count", "user_timeout"]
FIELDS: tuple[Field, ...] = ("enabled", "idle", "interval", "count", "user_timeout")
#: The order in which options are set: SO_KEEPALIVE last. Set first on a connection
#: that has been idle for long, it would send a probe at once (linux: tcp_set_keepalive).
ORDER: tuple[Field, ...] = ("idle", "interval", "count", "user_timeout", "enabled")


@dataclass(frozen=True)
class Option:
    """One socket option: where it is, in what unit, what it takes, since which release."""

    name: str
    level: int
    number: int
    unit: Literal["flag", "seconds", "milliseconds", "count"]
    minimum: int = 0  # in `unit`
    maximum: int = 1  # in `unit`
    since: str = "always"

    def encode(self, field_name: str, value: float, platform: str) -> int:
        """Return *value* (seconds, a count or a flag) as the kernel takes it.

        Raises PolicyError, naming the limit, for what this platform does not hold.
        """
        raw = round(value * 1000) if self.unit == "milliseconds" else int(value)
        if self.unit == "seconds" and raw < value:
            raw += 1  # a platform that holds whole seconds waits rather longer than shorter
        if not self.minimum <= raw <= self.maximum:
            scale = 1000 if self.unit == "milliseconds" else 1
            unit = "" if self.unit == "count" else " s"
            raise PolicyError(
                f"{field_name} = {value:g}{unit} is outside what {platform} takes for {self.name}: "
                f"{self.minimum / scale:g} to {self.maximum / scale:g}{unit}"
            )
        return raw

    def decode(self, raw: int) -> float | None:
        """Return the kernel's number as seconds, a count or a flag; None for a timeout that is off."""
        if self.unit == "milliseconds":
            return raw / 1000 if raw else None
        return raw


@dataclass(frozen=True)
class Platform:
    """One operating system's row of the table."""

    name: str
    sys_platform: str
    options: Mapping[Field, Option]
    missing: Mapping[Field, str] = field(default_factory=lambda: MappingProxyType({}))
    tcp_info: tuple[int, int] | None = None  # level and number of TCP_INFO
    ioctl_keepalive: int | None = None  # Windows: SIO_KEEPALIVE_VALS
    ioctl_count: int | None = None  # the count that this ioctl cannot change
    source: str = ""

    def option_values(self, policy: Policy) -> dict[Field, tuple[int, int, int]]:
        """Return field -> (level, option, raw value) in the order in which to set them.

        A user timeout that is off is not in it, nor is what the platform lacks. Raises
        PolicyError, naming the limit, for a value this platform does not take.
        """
        values: dict[Field, tuple[int, int, int]] = {}
        for each in ORDER:
            option = self.options.get(each)
            wanted = True if each == "enabled" else getattr(policy, each)
            if option is not None and wanted is not None:
                values[each] = (option.level, option.number, option.encode(each, wanted, self.name))
        return values


_SECONDS_MAX = 32767  # MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, include/net/tcp.h
_INT_MAX = 2**31 - 1
_TCP = 6

LINUX = Platform(
    name="Linux",
    sys_platform="linux",
    options=MappingProxyType(
        {
            "enabled": Option("SO_KEEPALIVE", 1, 9, "flag"),
            "idle": Option("TCP_KEEPIDLE", _TCP, 4, "seconds", 1, _SECONDS_MAX, "2.4"),
            "interval": Option("TCP_KEEPINTVL", _TCP, 5, "seconds", 1, _SECONDS_MAX, "2.4"),
            "count": Option("TCP_KEEPCNT", _TCP, 6, "count", 1, 127, "2.4"),
            "user_timeout": Option("TCP_USER_TIMEOUT", _TCP, 18, "milliseconds", 0, _INT_MAX, "2.6.37"),
        }
    ),
    tcp_info=(_TCP, 11),
    source="tcp(7); include/net/tcp.h",
)

MACOS = Platform(
    name="macOS",
    sys_platform="darwin",
    options=MappingProxyType(
        {
            "enabled": Option("SO_KEEPALIVE", 0xFFFF, 0x0008, "flag"),
            "idle": Option("TCP_KEEPALIVE", _TCP, 0x10, "seconds", 1, _INT_MAX // 1000),
            "interval": Option("TCP_KEEPINTVL", _TCP, 0x101, "seconds", 1, _INT_MAX // 1000, "10.8"),
            "count": Option("TCP_KEEPCNT", _TCP, 0x102, "count", 1, _INT_MAX // 1000, "10.8"),
            "user_timeout": Option(
                "TCP_RXT_CONNDROPTIME", _TCP, 0x80, "seconds", 0, _INT_MAX // 1000, "not documented"
            ),
        }
    ),
    source="tcp(4); bsd/netinet/tcp.h of xnu",
)

WINDOWS = Platform(
    name="Windows",
    sys_platform="win32",
    options=MappingProxyType(
        {
            "enabled": Option("SO_KEEPALIVE", 0xFFFF, 0x0008, "flag"),
            "idle": Option("TCP_KEEPIDLE", _TCP, 3, "seconds", 1, _INT_MAX // 1000, "10 1709"),
            "interval": Option("TCP_KEEPINTVL", _TCP, 17, "seconds", 1, _INT_MAX // 1000, "10 1709"),
            "count": Option("TCP_KEEPCNT", _TCP, 16, "count", 1, 255, "10 1703"),
            "user_timeout": Option("TCP_MAXRT", _TCP, 5, "seconds", 0, _INT_MAX // 1000, "Vista"),
        }
    ),
    ioctl_keepalive=0x98000004,  # before 1709: takes idle and interval in ms, and always sends 10 probes
    ioctl_count=10,
    source="SIO_KEEPALIVE_VALS and IPPROTO_TCP socket options, Windows Sockets reference",
)

FREEBSD = Platform(
    name="FreeBSD",
    sys_platform="freebsd",
    options=MappingProxyType(
        {
            "enabled": Option("SO_KEEPALIVE", 0xFFFF, 0x0008, "flag"),
            "idle": Option("TCP_KEEPIDLE", _TCP, 256, "seconds", 1, _INT_MAX // 1000, "9.1"),
            "interval": Option("TCP_KEEPINTVL", _TCP, 512, "seconds", 1, _INT_MAX // 1000, "9.1"),
            "count": Option("TCP_KEEPCNT", _TCP, 1024, "count", 1, _INT_MAX // 1000, "9.1"),
        }
    ),
    missing=MappingProxyType({"user_timeout": "FreeBSD has no option like TCP_USER_TIMEOUT"}),
    source="tcp(4); sys/netinet/tcp.h",
)

PLATFORMS: tuple[Platform, ...] = (LINUX, MACOS, WINDOWS, FREEBSD)


def lookup(sys_platform: str) -> Platform:
    """Return the row for a value of sys.platform; an unknown system gets a row without options."""
    for platform in PLATFORMS:
        if sys_platform.startswith(platform.sys_platform):
            return platform
    reason = f"keptalive has no table for {sys_platform}"
    return Platform(
        sys_platform, sys_platform, MappingProxyType({}), MappingProxyType(dict.fromkeys(FIELDS, reason))
    )


def current() -> Platform:
    """Return the row of the operating system this runs on."""
    return _CURRENT


_CURRENT = lookup(sys.platform)
