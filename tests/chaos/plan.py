"""What a run of chaos does: rounds, each a fault and, for every client, a request and its moment.

Rule: pure. All of it is drawn from one seed, so the seed, and a round's number, say everything; nothing is
drawn later. A family says what a fault is allowed to do to a held request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from chaos.kernel_limit import DEFAULT_RETRIES, DEFAULT_SYN_RETRIES
from matrix.cells import Scenario
from matrix.drivers import CLIENTS, driver

#: When the answer is complete, after the request: in seconds. Every fault has come by then.
DELAY = 7.0
#: In the client's namespace, where paths die: tcp_retries2, by which the kernel gives up what is in flight
#: after 3 to 7 s instead of 15 min; tcp_syn_retries, where new connections are in vain, for 7 s at most.
RETRIES = 3
SYN_RETRIES = 2

#: Keeps a path open that forgets after three seconds, and lives through nine without an answer.
PATIENT = "1:1:9"
#: Find a path that died.
QUICK = ("1:1:2", "2:1:3", "3:2:2", "2:2:2")
#: The same, but what is unacknowledged may be so for four seconds only.
WITH_USER_TIMEOUT = "1:1:9:4"
#: Their first probe comes when the path has forgotten.
TOO_LATE = ("4:1:2", "5:2:2")


#: A client's own time-out where a family has them: before PATIENT's nine probes, and before an answer.
OWN_TIMEOUT = 4.0


@dataclass(frozen=True)
class Family:
    """One kind of fault, and what it may do."""

    name: str
    draw: Callable[[Random], str]
    policies: tuple[str, ...]
    #: What must become of a held request: "answered", or "" for an error in time being as good.
    held: str = ""
    #: What must become of a plain request that waits in silence: "lost", or "" for anything.
    plain: str = ""
    engine: str = "packet"
    #: Requests begin up to so many seconds after the first.
    spread: float = 3.0
    own_timeouts: bool = False  # each client's, where it has one
    retries: int = DEFAULT_RETRIES
    syn_retries: int = DEFAULT_SYN_RETRIES


def _between(draw: Random, least: float, most: float) -> float:
    return round(draw.uniform(least, most), 2)


def _outage(draw: Random) -> str:
    start = _between(draw, 0.5, 4)
    return f"outage@{start:g}-{start + _between(draw, 1, 4):g}"


def _black_hole(draw: Random) -> str:
    return f"blackhole@{_between(draw, 1, 4):g}"


def _reset(draw: Random) -> str:
    return draw.choice(["idle-reset:2", "idle-reset-both:2"])


FAMILIES = (
    Family("forgets", lambda draw: "idle-drop:3", (PATIENT,), "answered", "lost", "kernel"),
    Family("forgets-too-soon", lambda draw: "idle-drop:2", TOO_LATE, plain="lost", retries=RETRIES),
    Family(
        "black-hole",
        _black_hole,
        (*QUICK, WITH_USER_TIMEOUT),
        plain="lost",
        spread=5,
        retries=RETRIES,
        syn_retries=SYN_RETRIES,
    ),
    # Nothing but the client's own time-out, where it has one, ends this before nine probes or the kernel.
    Family(
        "own-time-out",
        _black_hole,
        (PATIENT,),
        own_timeouts=True,
        retries=RETRIES,
        syn_retries=SYN_RETRIES,
        spread=5,
    ),
    Family("outage", _outage, (PATIENT,), "answered"),
    Family("rebinding", lambda draw: "nat-rebind:2", (*TOO_LATE, PATIENT), plain="lost", retries=RETRIES),
    Family("reset", _reset, (*TOO_LATE, PATIENT), retries=RETRIES),
    Family("reboot", lambda draw: f"state-lost@{_between(draw, 1, 5):g}", QUICK, retries=RETRIES),
    Family("one-way", lambda draw: "one-way:server:2", TOO_LATE, plain="lost", retries=RETRIES),
    Family("loss", lambda draw: f"loss:{draw.randint(1, 8)}%", (PATIENT,), "answered"),
    Family(
        "all-at-once",
        lambda draw: f"loss:{draw.randint(1, 3)}%,{_outage(draw)},idle-drop:4",
        (PATIENT, *QUICK),
        retries=RETRIES + 1,  # so many lost by chance alone are out of the question
    ),
)


@dataclass(frozen=True)
class Asked:
    """One request: who asks, how, when after the round's beginning, and with which policy if held."""

    client: str
    kind: str  # "slow", "pooled", "trickle-length" …; with "-tls"
    start: float
    pause: float  # before the last request on a connection that has served one
    policy: str
    limit: float | None = None  # s: the client's own time-out

    @property
    def waits(self) -> bool:
        """Whether nothing passes until the answer comes."""
        return not self.kind.startswith("trickle")

    def scenario(self) -> Scenario:
        """Return what the server does, and how often the client asks."""
        kind = self.kind.removesuffix("-tls")
        script = ("fast", "slow") if kind == "pooled" else (kind,)
        return Scenario(
            tls=kind != self.kind,
            script=script,
            requests=len(script),
            policy=self.policy,
            method="POST",
            limit=self.limit,
        )

    def requests_by_itself(self) -> int:
        """Return how often the client sends by its own rules, once it learns that its connection has died.

        Plain it never learns that. tests/test_requests_not_repeated.py lets it, without keptalive.
        """
        scenario = self.scenario()
        again = driver(self.client).resends_if_reused if scenario.requests > 1 else 0
        return scenario.requests + again


@dataclass(frozen=True)
class Round:
    """One fault, and every client's request behind it."""

    seed: int
    number: int
    family: Family
    fault: str
    asked: tuple[Asked, ...]

    def __str__(self) -> str:
        return f"seed {self.seed}, round {self.number} ({self.family.name}, {self.fault})"


def draw(seed: int, rounds: int, clients: Iterable[str] = CLIENTS) -> list[Round]:
    """Return the rounds of a seed: every family once before any comes again."""
    clients = tuple(clients)
    found: list[Round] = []
    deck: list[Family] = []
    order = Random(seed)
    for number in range(rounds):
        if not deck:
            deck = order.sample(FAMILIES, len(FAMILIES))
        found.append(_round(seed, number, deck.pop(), clients))
    return found


def _round(seed: int, number: int, family: Family, clients: Sequence[str]) -> Round:
    own = Random(f"{seed} {number}")  # of its own, so that a round is the same in a run of any length
    fault = family.draw(own)
    # Each client draws from its own as well: who is missing on a machine changes nothing for the others.
    return Round(seed, number, family, fault, tuple(_ask(seed, number, family, name) for name in clients))


def _ask(seed: int, number: int, family: Family, client: str) -> Asked:
    own = Random(f"{seed} {number} {client}")
    kind = own.choice(kinds(client))
    return Asked(
        client,
        kind,
        start=_between(own, 0, family.spread),
        pause=_between(own, 0, 1) if kind.startswith("pooled") else 0.0,
        policy=own.choice(family.policies),
        limit=OWN_TIMEOUT if family.own_timeouts and driver(client).has_limit else None,
    )


def kinds(client: str) -> list[str]:
    """Return the ways in which this client can ask."""
    cls = driver(client)
    found = ["slow"]
    if "pooled" in cls.matrix:
        found.append("pooled")
    # A body that ends with the connection, and under TLS without a goodbye, is an error to some by itself.
    found += [f"trickle-{delimiter}" for delimiter in cls.bodies if delimiter != "goodbye"]
    if "tls" in cls.matrix:
        found += [f"{kind}-tls" for kind in found if kind != "trickle-close"]
        found += ["trickle-goodbye-tls"] if "goodbye" in cls.bodies else []
    return found
