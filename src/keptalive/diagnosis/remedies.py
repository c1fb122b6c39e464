"""What each verdict means, whether keepalive helps, who has to do what: one table for text, JSON and docs.

Rule: a row a verdict; the sentences hold no figure that was not measured. In a sentence, {silence}, {waited},
{status}, {held} and the like are filled in by `wording`; an empty one reads well too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keptalive.diagnosis.result import Step, Verdict


@dataclass(frozen=True)
class Meaning:
    """One verdict, for people."""

    sentence: str  # with figures in braces
    explanation: str  # what happens on the wire
    seen: str  # the evidence by which it is told
    helps: bool | None  # does keepalive help? None: that was not told
    steps: tuple[Step, ...]
    exit: Literal["fine", "problem", "unknown"] = "problem"


def _step(who: Literal["client", "network", "server", "proxy"], what: str) -> Step:
    return Step(who, what)


_HOLD = _step("client", "Hold the connection with keepalive, by the policy given, in the way of your client.")
_RAISE = _step(
    "network",
    "Raise the idle timeout of the firewall, NAT or load balancer for TCP, or have it send an RST to "
    "both ends at expiry, so that nobody waits for ever.",
)
_ANSWER_EARLIER = _step(
    "server",
    "Answer in time: accept the job at once (202 and a URL to ask later), or send something while it works "
    "(a streamed response, server-sent events with comments).",
)
_READ_TIMEOUT = _step(
    "client",
    "Give the request a read timeout that is longer than its slowest answer: what is lost all the same then "
    "ends in an error and not in waiting.",
)

MEANINGS: dict[Verdict, Meaning] = {
    "slow-server": Meaning(
        "Nothing is lost on the way{answered}: the server takes its time{waiting}.",
        "Both requests, the plain one and the held one, fared alike, and no connection was forgotten.",
        "Both arms were answered after about the same time; or no answer came in the time given, and both "
        "connections are still alive: then it could not be told whether keepalive helps, and the exit code "
        "is 5.",
        False,
        (
            _step(
                "client",
                "Keepalive is not needed for a wait as long as this one. A longer one may be another "
                "matter: keptalive probe measures how long the path allows.",
            ),
            _step("server", "If it is too slow, look at the server."),
        ),
        "fine",
    ),
    "forgotten-silently": Meaning(
        "The path forgets connections that are silent{silence}, and tells nobody: keepalive holds them.",
        "Something on the way (a firewall, a NAT gateway, a load balancer) drops what it no longer "
        "knows. The server's answer does not arrive, and the client waits for ever.",
        "The held request lives, the plain one's connection is dead: it does not answer keepalive probes any "
        "more, while a fresh connection does.",
        True,
        (_HOLD, _RAISE, _READ_TIMEOUT),
    ),
    "forgotten-reset": Meaning(
        "The path forgets connections that are silent{silence}, and resets them: keepalive holds them.",
        "Something on the way no longer knows the connection, and answers the next packet with an RST, "
        "or sends one when the time is up. Who only waits for an answer sends no packet, and often is "
        "told nothing.",
        "The held request lives; the plain one was reset, by itself or at the first question.",
        True,
        (_HOLD, _RAISE),
    ),
    "idle-too-long": Meaning(
        "The path forgets connections that are silent{silence}: before this keepalive's first "
        "probe{timers}. A shorter idle holds them.",
        "Keepalive is on, but its first probe leaves when the connection is forgotten already. So it "
        "only finds out about the loss; it does not prevent it.",
        "The held connection never had an answer to a probe, and died with its first ones; a fresh "
        "connection answers probes.",
        True,
        (
            _step(
                "client",
                "Make idle shorter: a third of the path's timeout, as in the policy given; never "
                "'the timeout minus one', since timers fire up to an eighth late.",
            ),
            _RAISE,
        ),
    ),
    "interval-too-long": Meaning(
        "The path forgets connections that are silent{silence}: between two probes of this "
        "keepalive{timers}, since after an answered one the kernel waits for the longer of idle and "
        "interval.",
        "The first probe comes in time and is answered; the next waits for the interval, which is longer "
        "than the path's timeout.",
        "The held connection answered its first probe, and was dead at a later one.",
        True,
        (
            _step(
                "client",
                "Set the interval as well (TCP_KEEPINTVL; the system's default is 75 s): at most as "
                "long as idle, better a third of it.",
            ),
            _RAISE,
        ),
    ),
    "probes-filtered": Meaning(
        "Something drops keepalive probes: keepalive does not hold this path{harm}.",
        "Data passes and is acknowledged; segments without data do not pass, or are not answered. Keepalive "
        "takes that for a dead connection and ends it: here it does harm.",
        "A fresh connection, alive by all other signs, answers no probe, but acknowledges data.",
        False,
        (
            _step(
                "client",
                "Leave TCP keepalive off for this path, or give it a large count; let the program "
                "itself send something meanwhile (HTTP/2 PING, WebSocket ping, a chunked upload), or ask for "
                "the result later instead of waiting.",
            ),
            _step(
                "network",
                "Let TCP segments without data pass: RFC 9293, 3.8.4, allows connections to be probed "
                "that way.",
            ),
            _ANSWER_EARLIER,
        ),
    ),
    "gateway-timeout": Meaning(
        "A gateway before the server gives up{waited}, and says so (status {status}): keepalive does not "
        "help.",
        "A reverse proxy, load balancer or API gateway ends TCP, and waits for the server's answer on a "
        "connection of its own, with a timer of its own. It counts bytes of responses; TCP's probes do not "
        "reach that timer.",
        "Both arms were answered alike, with a status that only gateways send.",
        False,
        (
            _step(
                "proxy",
                "Raise the gateway's timeout for this path (nginx proxy_read_timeout, haproxy timeout "
                "server, AWS ALB idle_timeout; some clouds' are fixed).",
            ),
            _ANSWER_EARLIER,
        ),
    ),
    "closed-by-peer": Meaning(
        "The server, or a proxy that ends TCP before it, closes the connection{waited}, plain or held: "
        "keepalive does not help.",
        "A FIN arrives instead of the answer. Who ends TCP decides by a timer of its own, which no probe "
        "reaches.",
        "Both arms ended with a FIN after the same time.",
        False,
        (
            _step(
                "server",
                "Look for a timer of that length: a worker's or request's timeout, a graceful restart, a "
                "TCP load balancer in front (haproxy timeout client and timeout server in TCP mode).",
            ),
            _ANSWER_EARLIER,
        ),
    ),
    "reset-by-peer": Meaning(
        "The server, or something before it, resets the connection{waited}, plain or held: keepalive "
        "does not help.",
        "An RST arrives by itself, at the same time whether the connection was held or not: so it was not "
        "silence that brought it about.",
        "Both arms were reset after the same time, without having been asked anything.",
        False,
        (
            _step(
                "server",
                "Look at the server's log at that time: a crash, a kill, a limit on how long a "
                "request may run.",
            ),
            _ANSWER_EARLIER,
        ),
    ),
    "state-lost": Meaning(
        "The connections were forgotten all at once while they were kept alive{waited}: a restart, not a "
        "timeout.",
        "The server, or a box on the way that keeps a table of connections, was restarted or failed over. "
        "Keepalive cannot prevent that; it makes the client find out within seconds.",
        "The held connection answered probes, and then, within a silence that it had survived before, "
        "was reset or fell silent; a fresh connection is fine.",
        False,
        (
            _step(
                "client",
                "Keep keepalive on: it turns waiting for ever into an error. Repeat the request, if "
                "it may be repeated.",
            ),
            _step(
                "network", "Find out what was restarted at that time: the server, a firewall, a NAT gateway."
            ),
        ),
    ),
    "outage": Meaning(
        "The path was down{waited}: nothing came through, plain or held.",
        "Packets get lost on the way, or the host is down. No setting of keepalive makes them arrive; a "
        "larger interval times count outlives a longer outage, at the price of finding out later.",
        "The held connection's probes went without an answer, though they had been answered before, and "
        "no fresh connection was to be had, or another connection outlived it.",
        False,
        (
            _step("network", "Look for what failed at that time: a link, a route, a host."),
            _step(
                "client",
                "If such outages are usual, choose a larger count; and repeat the request, if it may "
                "be repeated.",
            ),
        ),
    ),
    "proxy-hop": Meaning(
        "The connection to the proxy is alive{waited}, and no answer comes: what is lost, is lost behind the "
        "proxy.",
        "An explicit proxy ends TCP. Keepalive holds the way to the proxy; beyond it the proxy's own "
        "connection counts, which few proxies hold.",
        "Both arms are still waiting, and both connections answer probes.",
        False,
        (
            _step(
                "proxy",
                "Turn TCP keepalive on for the proxy's connections to servers, or lower its read "
                "timeout, so that an error comes (squid: read_timeout).",
            ),
            _step(
                "client",
                "Go past the proxy for this host, if that is allowed (NO_PROXY); with a SOCKS or "
                "CONNECT proxy, too, only the way to the proxy is held.",
            ),
            _ANSWER_EARLIER,
        ),
    ),
    "unreachable": Meaning(
        "There is no connection to be had{error}.",
        "The port refuses, or nothing comes back.",
        "No connection could be made.",
        False,
        (
            _step("client", "Check the host's name and the port."),
            _step("server", "Is it running, and does a firewall let you in?"),
        ),
    ),
    "cannot-tell": Meaning(
        "The evidence does not tell what happens{also}.",
        "What was seen fits more than one cause, or contradicts itself.",
        "None of the other signatures.",
        None,
        (
            _step(
                "client",
                "Run it again; give it more time (--timeout); measure the path by itself with "
                "keptalive probe.",
            ),
        ),
        "unknown",
    ),
}

#: What to do after a diagnosis that was interrupted and could tell nothing.
INTERRUPTED = (
    _step(
        "client",
        "Interrupted; let it run until an answer comes, or until it says that the path forgets. keptalive "
        "probe measures the path by itself.",
    ),
)
