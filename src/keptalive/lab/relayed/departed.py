"""Which forgotten clients have gone, though nothing of theirs is heard any more.

Rule: the kernel's own table of sockets says it, and of this machine alone. What it does not know, a client on
another machine, or in another network namespace, may still be there.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable

from keptalive.errors import KeptaliveError
from keptalive.lab.flows import Address, Flow
from keptalive.linux import netlink, sock_diag
from keptalive.linux.endpoints import as_ipv4, is_loopback

#: Connections that a server is left with though their clients have gone, as a firewall leaves it with all: so
#: many may be looked at. `keptalive probe` makes about thirty, `keptalive serve` takes 200.
KEPT = 50

End = tuple[bytes, int]  # an address as the kernel's table has it, and a port


def departed(flows: Iterable[Flow]) -> list[Flow]:
    """Return those whose client was on this machine, and has gone; none where the kernel shows no sockets."""
    try:
        batches = list(sock_diag.tcp_sockets(netlink.open_socket()))
    except (KeptaliveError, OSError, RuntimeError):  # the last: it is read in a thread, which may not be had
        return []
    ends = [
        (flow, _recorded(flow.client_address), _recorded(flow.client.sock.getsockname())) for flow in flows
    ]
    own = [end for end in ends if _is_of_this_machine(*end[1:])]
    clients, relays = {client for _, client, _ in own}, {relay for _, _, relay in own}
    sockets = (((as_ipv4(row[3]), row[0]), (as_ipv4(row[4]), row[1])) for batch in batches for row in batch)
    here = present(clients, relays, sockets)
    return [flow for flow, client, _ in own if client not in here]


def present(
    clients: Collection[End], relays: Collection[End], sockets: Iterable[tuple[End, End]]
) -> set[End]:
    """Return which *clients* have a socket still; *sockets*: (its own end, the other one).

    A connection to elsewhere may come from the same port, and no client's. But where it goes to does not
    tell: a client's packets may have been redirected to the relay. The other end's socket does, if that is
    on this machine: a redirected client's is the relay's.
    """
    known = {(here, there) for here, there in sockets if here in clients or there in clients}
    return {
        here for here, there in known if here in clients and (there in relays or (there, here) not in known)
    }


def _is_of_this_machine(client: End, relay: End) -> bool:
    return is_loopback(client[0]) or client[0] == relay[0]


def _recorded(address: Address) -> End:
    """Return an address as the kernel's table has it."""
    host, port = str(address[0]).partition("%")[0], int(address[1])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return as_ipv4(socket.inet_pton(family, host)), port
