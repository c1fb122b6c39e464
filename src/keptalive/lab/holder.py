"""The process that builds and holds the kernel engine's three network namespaces.

    client 10.99.1.2, fd99:1::2 ── firewall ── server 10.99.2.2, fd99:2::2

Rule: one thread only, since neither a user namespace nor a network namespace is entered by more
than one. It starts nothing; when its owner goes, it ends whatever still lives in its namespaces.

The firewall is the kernel's own: connection tracking with `tcp_loose` off takes nothing but a SYN
for a new flow, and the rules let pass what belongs to a known flow, and SYNs of the client's side.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keptalive.errors import LabError
from keptalive.lab.control import Owner
from keptalive.lab.faults import parse
from keptalive.lab.faults.idle_drop import IdleDrop
from keptalive.linux import namespaces

CLIENT, SERVER = "10.99.1.2", "10.99.2.2"
CLIENT6, SERVER6 = "fd99:1::2", "fd99:2::2"
_GATEWAYS = {"client": ("10.99.1.1", "fd99:1::1"), "server": ("10.99.2.1", "fd99:2::1")}
_ADDRESSES = {"client": (CLIENT, CLIENT6), "server": (SERVER, SERVER6)}

# nf_conntrack_tcp_timeout_*, each state that a connection once established can be in, and the two that
# replace those where data was sent and not acknowledged: all forget after the same time.
_STATES = ("established", "fin_wait", "close_wait", "last_ack", "time_wait", "max_retrans", "unacknowledged")

_NO_DUPLICATE_DETECTION = 0x02  # IFA_F_NODAD, linux/if_addr.h: else IPv6 addresses are unusable for a second


def main(owner: Owner) -> None:
    """Serve the kernel engine."""
    holder = Holder()
    try:
        owner.serve({"build": holder.build, "socket": holder.client_socket, "expire": holder.expire})
    finally:
        holder.sweep()


class Holder:
    """The namespaces, by their descriptors."""

    def __init__(self) -> None:
        self.user: int | None = None  # None: root needs none of its own
        self.networks: dict[str, int] = {}
        self._spared = 0
        self.ipv6 = Path("/proc/sys/net/ipv6").is_dir()

    def build(self, faults: str, spare: int) -> dict[str, Any]:
        """Make the namespaces, the links and the firewall.

        Hands over the client's and the server's namespace, and the user namespace if one was needed.
        *spare* is the slow server's process id: that one knows by itself when to end.
        """
        idle_drop = parse(faults).get(IdleDrop)
        if idle_drop is None:
            raise LabError(f"connection tracking cannot do {faults} yet")
        self._spared = spare
        self._leave()
        try:
            import pyroute2  # after the user namespace, which takes no process with threads
        except ImportError as error:
            raise LabError("pyroute2 is not installed: pip install 'keptalive[lab]'") from error
        try:
            for name in ("client", "server", "firewall"):
                self.networks[name] = namespaces.fresh_network()
                if self.ipv6:
                    # No time for duplicate address detection: it makes IPv6 wait for two seconds.
                    _set("ipv6/conf/default/accept_dad", 0)
            self._link_all()
            _write_rules()
            _forget_after(int(idle_drop.seconds))
        except (OSError, pyroute2.NetlinkError) as error:
            raise LabError(f"the firewall cannot be set up here ({error})") from error
        reason = "network namespaces with the kernel's connection tracking"
        if self.user is not None:
            reason += ", inside a user namespace"
        held = [self.networks["client"], self.networks["server"], *([] if self.user is None else [self.user])]
        return {"reason": reason, "ipv6": self.ipv6, "descriptors": [os.dup(one) for one in held]}

    def client_socket(self, family: int) -> dict[str, Any]:
        """Make a TCP socket in the client's namespace and hand it over."""
        with self._inside("client"):
            return {"descriptors": [socket.socket(family, socket.SOCK_STREAM).detach()]}

    def expire(self) -> dict[str, Any]:
        """Forget every flow, now."""
        from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

        with NFCTSocket() as tracking:
            tracking.flush()
        return {}

    def sweep(self) -> None:
        """End every process that still lives in one of the namespaces, so that these can go."""
        networks = [namespaces.inode(descriptor) for descriptor in self.networks.values()]
        namespaces.kill_processes_in(networks, self._spared)

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
        namespaces.enter(self.networks[name], namespaces.CLONE_NEWNET)
        try:
            yield
        finally:
            namespaces.enter(self.networks["firewall"], namespaces.CLONE_NEWNET)

    def _link_all(self) -> None:
        """Join both sides to the firewall: addresses, routes, everything up."""
        from pyroute2 import IPRoute

        with IPRoute() as firewall:
            for side in ("client", "server"):
                inside = {"ifname": "firewall", "net_ns_fd": self.networks[side]}
                firewall.link("add", ifname=side, kind="veth", peer=inside)
                self._set_up(firewall, side, _GATEWAYS[side])
        for side in ("client", "server"):
            with self._inside(side), IPRoute() as end:
                self._set_up(end, "lo", ())
                self._set_up(end, "firewall", _ADDRESSES[side])
                for gateway in _GATEWAYS[side][: 1 + self.ipv6]:
                    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
                    end.route("add", dst="default", gateway=gateway, family=family)
        _set("ipv4/ip_forward", 1)
        if self.ipv6:
            _set("ipv6/conf/all/forwarding", 1)

    def _set_up(self, route: Any, name: str, addresses: Sequence[str]) -> None:
        (index,) = route.link_lookup(ifname=name)
        for address in addresses[: 1 + self.ipv6]:
            if ":" in address:
                route.addr("add", index=index, address=address, prefixlen=64, flags=_NO_DUPLICATE_DETECTION)
            else:
                route.addr("add", index=index, address=address, prefixlen=24)
        route.link("set", index=index, state="up")


def _set(name: str, value: int) -> None:
    """Set a sysctl below net, in the network namespace that this process is in."""
    Path("/proc/sys/net", name).write_text(str(value), "ascii")


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def _forget_after(seconds: int) -> None:
    """Let connection tracking forget a connection after that time without a packet."""
    _set("netfilter/nf_conntrack_tcp_loose", 0)
    for state in _STATES:
        _set(f"netfilter/nf_conntrack_tcp_timeout_{state}", seconds)


def _write_rules() -> None:
    """Forward what belongs to a known flow, and SYNs from the client's side; drop the rest in silence.

    ct state established,related accept
    iifname client ct state new tcp flags & (syn|ack) == syn accept
    """
    from pyroute2.nftables.expressions import genex, verdict
    from pyroute2.nftables.main import NFTables

    def load(what: str, **how: Any) -> list[Any]:
        return [genex(what, {"dreg": 1, **how})]

    def masked(value: bytes) -> list[Any]:
        zero = {"attrs": [("NFTA_DATA_VALUE", bytes(len(value)))]}
        mask = {"attrs": [("NFTA_DATA_VALUE", value)]}
        return [genex("bitwise", {"sreg": 1, "dreg": 1, "len": len(value), "mask": mask, "xor": zero})]

    def compare(operation: int, value: bytes) -> list[Any]:
        data = {"attrs": [("NFTA_DATA_VALUE", value)]}
        return [genex("cmp", {"sreg": 1, "op": operation, "data": data})]

    equal, unequal = 0, 1  # NFT_CMP_EQ, NFT_CMP_NEQ
    none = bytes(4)

    def state(bits: int) -> list[Any]:  # NF_CT_STATE_BIT: established 2, related 4, new 8
        return load("ct", key=0) + masked(bits.to_bytes(4, sys.byteorder)) + compare(unequal, none)

    from_client = load("meta", key=6) + compare(equal, b"client".ljust(16, b"\0"))  # NFT_META_IIFNAME
    is_tcp = load("meta", key=16) + compare(equal, bytes([socket.IPPROTO_TCP]))  # NFT_META_L4PROTO
    syn, syn_ack = bytes([0x02]), bytes([0x12])
    is_syn = load("payload", base=2, offset=13, len=1) + masked(syn_ack) + compare(equal, syn)  # TCP's flags
    accept = verdict(1)
    rules = (state(2 | 4) + accept, from_client + state(8) + is_tcp + is_syn + accept)
    with NFTables(nfgen_family=1) as nft:  # NFPROTO_INET: one table for IPv4 and IPv6
        nft.table("add", name="lab")
        nft.chain("add", table="lab", name="forward", hook="forward", type="filter", policy=0)
        for rule in rules:
            nft.rule("add", table="lab", chain="forward", expressions=[rule])
