"""Three network namespaces in a row, for the engines that have them: a client's, a firewall's, a server's.

    client 10.99.1.2, fd99:1::2 ── firewall ── server 10.99.2.2, fd99:2::2

Rule: links, addresses and routes; what the firewall does with packets is its engine's business. One thread
only, since neither a user namespace nor a network namespace is entered by more than one.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keptalive.errors import LabError
from keptalive.linux import namespaces

CLIENT, SERVER = "10.99.1.2", "10.99.2.2"
CLIENT6, SERVER6 = "fd99:1::2", "fd99:2::2"
#: The ends, and the names of the firewall's links to them.
SIDES = ("client", "server")
_GATEWAYS = {"client": ("10.99.1.1", "fd99:1::1"), "server": ("10.99.2.1", "fd99:2::1")}
_ADDRESSES = {"client": (CLIENT, CLIENT6), "server": (SERVER, SERVER6)}

#: Link-layer addresses: of each end, and of the firewall's link to it. Locally administered (IEEE 802).
ENDS = {"client": "02:00:00:00:01:02", "server": "02:00:00:00:02:02"}
LINKS = {"client": "02:00:00:00:01:01", "server": "02:00:00:00:02:01"}

_NO_DUPLICATE_DETECTION = 0x02  # IFA_F_NODAD, linux/if_addr.h: else IPv6 addresses are unusable for a second


class Networks:
    """The namespaces, by their descriptors."""

    def __init__(self) -> None:
        self.user: int | None = None  # None: root needs none of its own
        self._networks: dict[str, int] = {}
        self._spared = 0
        self._unswept: int | None = None  # closed when the sweep begins; who joins holds the other end
        self.ipv6 = Path("/proc/sys/net/ipv6").is_dir()

    def build(self, spare: int) -> None:
        """Make the namespaces and join them; this process is the firewall's afterwards.

        *spare* is the slow server's process id: that one knows by itself when to end.
        Raises LabError, or OSError and NetlinkError.
        """
        self._spared = spare
        self._leave()
        try:
            import pyroute2  # noqa: F401  # after the user namespace, which takes no process with threads
        except ImportError as error:
            raise LabError("pyroute2 is missing: pip install 'keptalive[lab]'") from error
        for name in (*SIDES, "firewall"):
            self._networks[name] = namespaces.fresh_network()
            if self.ipv6:
                # No time for duplicate address detection: it makes IPv6 wait for two seconds.
                set_sysctl("ipv6/conf/default/accept_dad", 0)
        self._link_all()

    def handed_over(self, how: str) -> dict[str, Any]:
        """Return what the owner needs: the ends' namespaces, a pipe, and the user namespace if there is one.

        The pipe's other end closes when the sweep begins: who joins a namespace after that has to leave it.
        *how* is what to say of the firewall.
        """
        reason = f"network namespaces with {how}"
        if self.user is not None:
            reason += ", inside a user namespace"
        unswept, self._unswept = os.pipe()
        sides = (os.dup(self._networks[side]) for side in SIDES)
        held = [*sides, unswept, *([] if self.user is None else [os.dup(self.user)])]
        return {"reason": reason, "ipv6": self.ipv6, "descriptors": held}

    def client_socket(self, family: int) -> dict[str, Any]:
        """Make a TCP socket in the client's namespace and hand it over."""
        with self._inside("client"):
            return {"descriptors": [socket.socket(family, socket.SOCK_STREAM).detach()]}

    def set_sysctl(self, side: str, name: str, value: int) -> dict[str, Any]:
        """Set a sysctl below net in an end's namespace."""
        with self._inside(side):
            try:
                set_sysctl(name, value)
            except OSError as error:
                raise LabError(f"net/{name} cannot be set to {value} here ({_name(error)})") from error
        return {}

    def sweep(self) -> None:
        """End every process that still lives in one of the namespaces, so that these can go."""
        if self._unswept is not None:
            os.close(self._unswept)
            self._unswept = None
        inodes = [namespaces.inode(descriptor) for descriptor in self._networks.values()]
        namespaces.kill_processes_in(inodes, self._spared)

    def _leave(self) -> None:
        """Get the right to make network namespaces: as root, or in a user namespace of our own."""
        try:
            namespaces.unshare(namespaces.CLONE_NEWNET)
        except PermissionError:
            try:
                self.user = namespaces.enter_user_namespace()
                namespaces.unshare(namespaces.CLONE_NEWNET)
            except OSError as error:
                raise LabError(f"user namespaces are refused here ({_name(error)})") from error
        except OSError as error:
            raise LabError(f"network namespaces are refused here ({_name(error)})") from error

    @contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        namespaces.enter(self._networks[name], namespaces.CLONE_NEWNET)
        try:
            yield
        finally:
            namespaces.enter(self._networks["firewall"], namespaces.CLONE_NEWNET)

    def _link_all(self) -> None:
        """Join both sides to the firewall: addresses, routes, everything up."""
        from pyroute2 import IPRoute

        with IPRoute() as firewall:
            for side in SIDES:
                inside = {"ifname": "firewall", "address": ENDS[side], "net_ns_fd": self._networks[side]}
                firewall.link("add", ifname=side, address=LINKS[side], kind="veth", peer=inside)
                self._set_up(firewall, side, _GATEWAYS[side])
        for side in SIDES:
            with self._inside(side), IPRoute() as end:
                self._set_up(end, "lo", ())
                self._set_up(end, "firewall", _ADDRESSES[side])
                for gateway in _GATEWAYS[side][: 1 + self.ipv6]:
                    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
                    end.route("add", dst="default", gateway=gateway, family=family)

    def _set_up(self, route: Any, name: str, addresses: Sequence[str]) -> None:
        (index,) = route.link_lookup(ifname=name)
        for address in addresses[: 1 + self.ipv6]:
            if ":" in address:
                route.addr("add", index=index, address=address, prefixlen=64, flags=_NO_DUPLICATE_DETECTION)
            else:
                route.addr("add", index=index, address=address, prefixlen=24)
        route.link("set", index=index, state="up")


def set_sysctl(name: str, value: int) -> None:
    """Set a sysctl below net, in the network namespace that this process is in."""
    Path("/proc/sys/net", name).write_text(str(value), "ascii")


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))
