"""Which connections are meant: by network and by port, the two things that connect() knows.

Rule: pure. Names are not resolved here: to look one up would be a request of our own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keptalive.errors import PolicyError

if TYPE_CHECKING:  # ipaddress takes 5 ms to load: for those who name networks
    from ipaddress import IPv4Network, IPv6Network

    Network = IPv4Network | IPv6Network
    Networks = str | Network | Iterable[str | Network]
    Ports = int | Iterable[int]


@dataclass(frozen=True)
class Scope:
    """Networks and ports; None is any."""

    networks: tuple[Network, ...] | None
    ports: Collection[int] | None

    @classmethod
    def of(cls, networks: Networks | None, ports: Ports | None) -> Scope | None:
        """Return the scope of what install() was given, None for everything. Raises PolicyError."""
        if networks is None and ports is None:
            return None
        return cls(
            None if networks is None else _networks(networks),
            None if ports is None else _ports(ports),
        )

    def holds(self, address: Any) -> bool | None:
        """Tell whether an address of connect() is meant; None if a name, or its form, leaves that open."""
        if not (isinstance(address, tuple) and len(address) >= 2 and isinstance(address[1], int)):
            return None
        if self.ports is not None and address[1] not in self.ports:
            return False
        if self.networks is None:
            return True
        if not isinstance(address[0], str):
            return None
        from ipaddress import ip_address

        try:
            ip = ip_address(address[0])
        except ValueError:
            return None
        mapped = getattr(ip, "ipv4_mapped", None)  # ::ffff:10.0.0.1 is 10.0.0.1 to whoever names networks
        return any(each in network for network in self.networks for each in (ip, mapped) if each is not None)

    def __str__(self) -> str:
        parts = []
        if self.networks is not None:
            parts.append("in " + ", ".join(map(str, self.networks)))
        if self.ports is not None:
            numbers = sorted(self.ports)
            shown = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
            parts.append(f"to port {shown}")
        return " ".join(parts)


def _networks(given: Networks) -> tuple[Network, ...]:
    """Return networks; "10.0.0.1" is one of a single address, and "10.0.0.1/8" is 10.0.0.0/8."""
    from ipaddress import IPv4Network, IPv6Network, ip_network

    if isinstance(given, (str, IPv4Network, IPv6Network)):
        given = (given,)
    try:
        found = tuple(ip_network(each, strict=False) for each in given)
    except ValueError as error:
        raise PolicyError(f"networks: {error}; write addresses such as 10.0.0.0/8 or fd00::/8") from None
    if not found:
        raise PolicyError("networks is empty, so nothing would be covered; leave it out to cover everything")
    return found


def _ports(given: Ports) -> Collection[int]:
    """Return ports as a set."""
    if isinstance(given, str):  # type: ignore[unreachable]  # its characters would be taken for ports
        raise PolicyError(f"ports: {given!r} is no port; write numbers from 1 to 65535")
    found = frozenset((given,) if isinstance(given, int) else given)
    wrong = [each for each in found if not (isinstance(each, int) and 1 <= each <= 65535)]
    if wrong:
        raise PolicyError(f"ports: {wrong[0]!r} is no port; write numbers from 1 to 65535")
    if not found:
        raise PolicyError("ports is empty, so nothing would be covered; leave it out to cover everything")
    return found
