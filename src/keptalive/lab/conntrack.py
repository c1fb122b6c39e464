"""The kernel engine's firewall: connection tracking, and rules for what belongs to no known flow.

Rule: it acts on the network namespace that the process is in. With `tcp_loose` off, connection tracking
takes nothing but a SYN for a new flow; a packet of a flow that it has forgotten is then "invalid".
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from keptalive.lab.faults.fault import AfterIdle
from keptalive.lab.faults.idle_reset import IdleReset
from keptalive.lab.faults.nat_rebind import NatRebind
from keptalive.lab.networks import SIDES, set_sysctl

# nf_conntrack_tcp_timeout_*, each state that a connection once established can be in, and the two that
# replace those where data was sent and not acknowledged: all forget after the same time.
_STATES = ("established", "fin_wait", "close_wait", "last_ack", "time_wait", "max_retrans", "unacknowledged")

_EQUAL, _UNEQUAL = 0, 1  # NFT_CMP_EQ, NFT_CMP_NEQ
_INVALID, _KNOWN, _NEW = 1, 2 | 4, 8  # NF_CT_STATE_BIT: known is established or related
_SYN, _ACK = 0x02, 0x10  # TCP's flags
_INET = 1  # NFPROTO_INET: one table for IPv4 and IPv6


def set_up(fault: AfterIdle, *, ipv6: bool) -> None:
    """Forward, and forget as *fault* says. Raises OSError, NetlinkError."""
    set_sysctl("ipv4/ip_forward", 1)
    if ipv6:
        set_sysctl("ipv6/conf/all/forwarding", 1)
    _write_rules(fault)
    # A NAT takes the middle of a stream for a new flow. It does not know it, so it cannot keep its port.
    set_sysctl("netfilter/nf_conntrack_tcp_loose", int(isinstance(fault, NatRebind)))
    # Else a packet outside the window, which comes and goes unnoticed elsewhere, would be answered by an RST.
    set_sysctl("netfilter/nf_conntrack_tcp_be_liberal", int(isinstance(fault, IdleReset)))
    for state in _STATES:
        set_sysctl(f"netfilter/nf_conntrack_tcp_timeout_{state}", int(fault.seconds))


def forget() -> None:
    """Forget every flow, now."""
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

    with NFCTSocket() as tracking:
        tracking.flush()


def _write_rules(fault: AfterIdle) -> None:
    """Forward what belongs to a known flow, and SYNs from the client's side; drop the rest in silence.

    ct state established,related accept
    iifname client ct state new tcp flags & (syn|ack) == syn accept

    idle-reset answers packets that belong to no known flow:
        ct state invalid meta l4proto tcp reject with tcp reset
    nat-rebind takes all from the client's side for new, and gives each flow a random port:
        iifname client ct state new meta l4proto tcp accept
        oifname server masquerade random
    """
    from pyroute2.nftables.expressions import genex, verdict
    from pyroute2.nftables.main import NFTables

    client, server = SIDES
    accept, reset = verdict(1), [genex("reject", {"type": 1, "icmp_code": 0})]  # NFT_REJECT_TCP_RST
    from_client = [*_link(6, client), *_state(_NEW), *_is_tcp()]  # NFT_META_IIFNAME
    if not isinstance(fault, NatRebind):
        from_client += _is_syn()
    rules = [[*_state(_KNOWN), *accept], [*from_client, *accept]]
    if isinstance(fault, IdleReset):
        rules.append([*_state(_INVALID), *_is_tcp(), *reset])
    with NFTables(nfgen_family=_INET) as nft:
        nft.table("add", name="lab")
        nft.chain("add", table="lab", name="forward", hook="forward", type="filter", policy=0)
        for rule in rules:
            nft.rule("add", table="lab", chain="forward", expressions=[rule])
        if isinstance(fault, NatRebind):
            masquerade = genex("masq", {"flags": ["NF_NAT_RANGE_PROTO_RANDOM"]})
            nft.chain("add", table="lab", name="nat", hook="postrouting", type="nat", priority=100, policy=1)
            nft.rule("add", table="lab", chain="nat", expressions=[[*_link(7, server), masquerade]])


def _state(bits: int) -> list[Any]:
    """Match a packet whose state in connection tracking is one of *bits*."""
    return [_load("ct", key=0), *_masked(bits.to_bytes(4, sys.byteorder)), _compare(_UNEQUAL, bytes(4))]


def _link(key: int, name: str) -> list[Any]:
    return [_load("meta", key=key), _compare(_EQUAL, name.encode().ljust(16, b"\0"))]


def _is_tcp() -> list[Any]:
    return [_load("meta", key=16), _compare(_EQUAL, bytes([socket.IPPROTO_TCP]))]  # NFT_META_L4PROTO


def _is_syn() -> list[Any]:
    flags = _load("payload", base=2, offset=13, len=1)  # NFT_PAYLOAD_TRANSPORT_HEADER
    return [flags, *_masked(bytes([_SYN | _ACK])), _compare(_EQUAL, bytes([_SYN]))]


def _load(what: str, **how: Any) -> Any:
    from pyroute2.nftables.expressions import genex

    return genex(what, {"dreg": 1, **how})


def _masked(value: bytes) -> list[Any]:
    from pyroute2.nftables.expressions import genex

    zero = {"attrs": [("NFTA_DATA_VALUE", bytes(len(value)))]}
    mask = {"attrs": [("NFTA_DATA_VALUE", value)]}
    return [genex("bitwise", {"sreg": 1, "dreg": 1, "len": len(value), "mask": mask, "xor": zero})]


def _compare(operation: int, value: bytes) -> Any:
    from pyroute2.nftables.expressions import genex

    data = {"attrs": [("NFTA_DATA_VALUE", value)]}
    return genex("cmp", {"sreg": 1, "op": operation, "data": data})
