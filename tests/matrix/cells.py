"""What is tried with each client: the scenarios, as data, and the cell that one try is.

Rule: a scenario says what the server does and how often the client asks; how a client does it is
its driver's business. No client library here: the tests read their parameters from this file.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from typing import Any

#: The firewall forgets after IDLE_TIMEOUT seconds; the slow answer takes DELAY: long past for the plain
#: client, and the held one must be kept open more than once. Less than 3 s, and a machine that is busy with
#: other things can keep a client from its next step for longer than the firewall's memory.
IDLE_TIMEOUT = 3
DELAY = 7.0

#: What the server offers by gRPC.
GRPC_METHOD = "/keptalive.Test/Slow"

#: Keeps that path open: the first probe leaves after a second (an eighth late at most).
KEEPING = "1:1:9"
#: Does not: the first probe leaves when the path is dead, and the client learns of it after 6 s or so.
TOO_LATE = "4:1:2"
#: Finds a path that died under it, in 3 s.
QUICK = "1:1:2"


@dataclass(frozen=True)
class Scenario:
    """One way in which a client meets the slow server."""

    tls: bool = False
    proxy: str | None = None  # "proxy" (HTTP and CONNECT) or "socks": a kind of the server's
    redirected: bool = False
    script: tuple[str, ...] = ("slow",)  # the server's act for each request
    requests: int = 1  # how often the client asks; only the last answer is slow
    hold_before: int = 0  # the request before which the client is held
    retries: int = 0
    policy: str = KEEPING
    method: str = "GET"
    dies: bool = False  # half way through the answer
    limit: float | None = None  # s: the client's own time-out, where it has one
    connections: int | None = None  # how many the client must have opened, if that is the point


MATRIX = {
    "plain": Scenario(),
    "tls": Scenario(tls=True),
    "http-proxy": Scenario(proxy="proxy"),
    "connect-proxy": Scenario(proxy="proxy", tls=True),
    "socks": Scenario(proxy="socks"),
    "redirect": Scenario(redirected=True),
    "reconnect": Scenario(script=("close", "slow"), requests=2, connections=2),
    "retry": Scenario(script=("fail", "slow"), retries=1, connections=2),
    "pooled": Scenario(script=("fast", "slow"), requests=2, hold_before=1, connections=1),
}
# Two at once, where covering one connection is not enough: what a "+" joins a client must have both of.
MATRIX |= {
    "reconnect+connect-proxy": replace(MATRIX["reconnect"], proxy="proxy", tls=True),
    "pooled+connect-proxy": replace(MATRIX["pooled"], proxy="proxy", tls=True),
}

#: How a client's own retry is provoked, where a 503 does not do it.
RETRY_AFTER = {
    "503": MATRIX["retry"],
    "drop": replace(MATRIX["retry"], script=("drop", "slow")),
    "drop-reused": replace(MATRIX["retry"], script=("fast", "drop", "slow"), requests=2),
    "refuse": replace(MATRIX["retry"], script=("refuse", "slow"), retries=5, connections=1),
}

_DEAD = Scenario(script=("never",), method="POST", policy=TOO_LATE)
DEAD_PATHS = {
    "dead": _DEAD,
    "dead-tls": replace(_DEAD, tls=True),
    "dead-pooled": replace(_DEAD, script=("fast", "never"), requests=2),
    "dead-retry": replace(_DEAD, retries=1),
    "dead-retry-tls": replace(_DEAD, retries=1, tls=True),
}

#: The answer comes in two halves, and the path dies between them, or not. How the body is delimited:
#: "goodbye" is "close" as TLS wants it, with close_notify; without TLS it is the same.
DELIMITERS = ("close", "length", "chunked")
TRUNCATIONS = {
    f"{part}-{delimiter}{'-tls' if tls else ''}": Scenario(
        script=(f"{part}-{delimiter}",), tls=tls, policy=QUICK, dies=part == "half"
    )
    for part, delimiters in (("half", DELIMITERS), ("whole", (*DELIMITERS, "goodbye")))
    for delimiter in delimiters
    for tls in (False, True)
}

#: What each child does first: imports and first times must not come between a connection and its request.
WARM_UP = {"warm-up": Scenario(script=("fast",))}
FULL_SIZE = {"full-size": Scenario(policy="60:60:100")}

SCENARIOS = {**MATRIX, **DEAD_PATHS, **TRUNCATIONS, **FULL_SIZE, **WARM_UP}


#: The variants that are to be answered, as opposed to their controls.
PROTECTED = ("held", "installed", "own", "run")


def variants(scenario: str) -> tuple[str, ...]:
    """What a client is given: keptalive; nothing; or the same options, set on its sockets by another hand."""
    return ("held", "plain", "raw") if scenario in {**DEAD_PATHS, **TRUNCATIONS} else ("held", "plain")


@dataclass
class Cell:
    """One try: a client, a scenario, a variant, and where the server waits for it."""

    client: str
    scenario: Scenario
    variant: str
    url: str  # what to ask for, without a trailing slash
    proxy: str | None
    port: int  # where the client's connection for the slow answer goes
    ca_file: str

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].rpartition(":")[0].strip("[]")

    @property
    def origin_port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def proxy_port(self) -> int:
        return int((self.proxy or "").rpartition(":")[2])

    def context(self) -> ssl.SSLContext:
        """Return what trusts the server's certificate, and nothing else."""
        return ssl.create_default_context(cafile=self.ca_file)


Target = Any
