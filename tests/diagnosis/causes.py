"""What can kill a long request, and what a diagnosis says about each: the matrix, written before the code.

Rule: a cause is made with real packets and, where it is named after one, with the real program; how, stands
in `worlds`. What the wire cannot tell apart has one verdict, and `also` names the causes that it may be as
well. Nothing but `expected`, or `cannot-tell`, may ever be said.

The endpoint answers after 10 s; a firewall "forgets" connections that were idle for 5 s, unless it says 60.
"""

from __future__ import annotations

from dataclasses import dataclass

from keptalive.diagnosis.result import Verdict

#: The held arm's keepalive: IDLE:INTERVAL:COUNT.
EAGER = "2:1:3"


@dataclass(frozen=True)
class Cause:
    """One cause, and what is to be said about it."""

    expected: Verdict
    helps: bool | None  # does keepalive help?
    also: tuple[Verdict, ...] = ()  # what must be named beside the verdict
    held: str = EAGER


CAUSES: dict[str, Cause] = {
    # nothing is lost
    "server slow": Cause("slow-server", False),
    "server slow, its own keepalive holds the firewall": Cause("slow-server", False),
    "client to server forgotten, server to client not": Cause("slow-server", False),
    "nginx proxies a slow server": Cause("slow-server", False),
    "one request at a time": Cause("slow-server", False),
    "no answer in time, connection alive": Cause("slow-server", None, ("proxy-hop",)),
    # the path forgets
    "firewall forgets": Cause("forgotten-silently", True),
    "firewall forgets, default policy": Cause("forgotten-silently", True, held="1:1:15"),
    "firewall forgets, IPv6": Cause("forgotten-silently", True),
    "firewall forgets, TLS": Cause("forgotten-silently", True),
    "firewall forgets, 5 % loss": Cause("forgotten-silently", True),
    "firewall forgets, one held POST": Cause("forgotten-silently", True),
    "server to client forgotten, client to server not": Cause("forgotten-silently", True),
    "firewall forgets, and resets": Cause("forgotten-reset", True),
    "firewall resets at expiry": Cause("forgotten-reset", True),
    "NAT forgets, and takes another port": Cause("forgotten-reset", True),
    # a question opens the path again, and lets the server's answer through: was it lost, or late?
    "firewall forgets, and lets the client begin again": Cause(
        "cannot-tell", None, ("forgotten-silently", "slow-server")
    ),
    # the path forgets, and the keepalive is too slow for it
    "idle 7 s": Cause("idle-too-long", True, held="7:1:3"),
    "idle 7 s, firewall resets": Cause("idle-too-long", True, held="7:1:3"),
    "idle 2 s, interval 75 s": Cause("interval-too-long", True, held="2:75:3"),
    # keepalive is of no use
    "probes filtered, firewall forgets": Cause("probes-filtered", False),
    "probes filtered, firewall does not forget": Cause("probes-filtered", False),
    "bare segments filtered, firewall forgets": Cause("probes-filtered", False),
    "gateway times out": Cause("gateway-timeout", False),
    "haproxy times out": Cause("gateway-timeout", False),
    "nginx times out": Cause("gateway-timeout", False),
    "haproxy in TCP mode closes": Cause("closed-by-peer", False),
    "load balancer closes": Cause("closed-by-peer", False),
    "server closes": Cause("closed-by-peer", False),
    "server resets": Cause("reset-by-peer", False),
    "server restarts and forgets": Cause("state-lost", False),
    "firewall restarts and forgets": Cause("state-lost", False, ("outage",)),
    "host goes down": Cause("outage", False),
    "path goes down": Cause("outage", False),
    "path goes down one way": Cause("outage", False),
    "path is down for a while": Cause("outage", False),
    "squid before the firewall": Cause("proxy-hop", False, ("slow-server",)),
    # nobody there
    "refused": Cause("unreachable", False),
    "never answers": Cause("unreachable", False),
}
