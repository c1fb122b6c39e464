"""What the ends of many silences, taken together, say about the path.

Rule: pure. Evidence in, behaviour out; and what the evidence does not separate is left open.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from keptalive.probing.estimate import Bracket, Trial, bracket

Behaviour = Literal[
    "silent",  # the path forgets, and tells nobody
    "reset",  # the path forgets, and sends an RST: at expiry, or when the next packet comes
    "closed-by-peer",  # the server, or a proxy that ends TCP, closed first
    "kept-alive-by-peer",  # the other end sends something of its own accord: there is no silence to measure
    "probes-filtered",  # keepalive probes go unanswered while data is acknowledged
    "outlived",  # alive after the longest silence that was tried
    "unreachable",  # nobody listens there, or behind what accepts; or nothing comes back
    "outage",  # every connection died at one moment, whatever its age
    "unknown",  # none of these, or interrupted
]

#: What each says in a sentence; {alive}, {dead}, {closed} are seconds as text.
SENTENCES: dict[Behaviour, str] = {
    "silent": "The path forgets idle connections, and tells nobody.",
    "reset": "The path forgets idle connections, and resets them.",
    "closed-by-peer": "The server, or a proxy that ends TCP in front of it, closes idle connections first.",
    "kept-alive-by-peer": "The other end sends packets of its own accord: no connection is idle for long.",
    "probes-filtered": (
        "Keepalive probes are not answered while data is: something drops them, or the other end ignores "
        "them. TCP keepalive cannot hold this path, it would end healthy connections; the programs have to "
        "send something themselves."
    ),
    "outlived": "Connections outlived the longest silence that was tried.",
    "unreachable": "There is no connection to be had.",
    "outage": "All connections died at one moment, whatever their age: an outage, not a timeout.",
    "unknown": "That could not be told.",
}

# Ends that it takes to see what they share: the time since the connection was made, or since its last packet.
_ENOUGH_ENDS = 3
# Silences in a row that were not silent: a lost handshake segment disturbs one of five at 20 % loss.
_ENOUGH_DISTURBED = 8
_MASSACRE = 3  # connections that died young in a row
_ENOUGH_TALK = 3  # times that one connection was spoken to
_UNSETTLED = 3
_ENOUGH_TURNED_AWAY = 5  # the first ones; of a few servers that take turns, one may be down
#: Seconds of life of a connection that was ended as soon as it stood.
AT_ONCE = 0.5
#: What is unreachable though connections were made.
NOBODY_BEHIND = (
    "each connection is accepted and ended at once: probably nothing listens behind what accepts it (a port "
    "forward, a relay, a load balancer), or it takes no more"
)
_SHORTEST = 1.2  # s: a silence that short is the shortest that can be tried, or nearly


class Ended(NamedTuple):
    """A connection that the other side ended without having been asked. Seconds."""

    since_connected: float  # or since the last data: a server's own timer
    since_packet: float  # since the last packet of any kind: a middlebox's timer
    kind: str  # "fin", "reset" or "error"


@dataclass
class Evidence:
    """All that was seen so far."""

    trials: list[Trial] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)  # of asked connections: "silent", "reset"
    ends: list[Ended] = field(default_factory=list)
    shed: list[float] = field(default_factory=list)  # s after which the peer ended what had not settled
    turned_away: int = 0  # of those, who were ended as soon as they stood, without a word
    living: int = 0  # connections that stand, settled
    settled: int = 0  # connections whose probes were ever answered
    unsettled: int = 0  # those whose probes never were
    asked_by_data: bool = False
    acknowledged: bool | None = None  # data sent where no probe is answered: was it acknowledged?
    disturbed: int = 0  # silences in a row in which something arrived that was no data
    talk: Counter[int] = field(default_factory=Counter)  # rung -> silences in which data arrived
    first_words: dict[int, float] = field(default_factory=dict)  # rung -> s from connecting to first data
    died_young: int = 0  # in a row: silences survived before that killed now, and no old connection answered
    outage: bool = False  # nobody answered for long
    loss: float = 0.0  # share of bursts without an answer on living connections

    def bracket(self) -> Bracket:
        """Return the likeliest bracket around the path's timeout."""
        return bracket([*self.trials, *self._told_by_ends()], self.loss)

    def believed(self, found: Bracket) -> bool:
        """Tell whether enough connections died for the upper end of the bracket to be believed.

        One, where nothing was ever lost. Two where anything was: what chance does once it rarely does twice.
        """
        dead = sum(1 for trial in self.trials if not trial.alive and trial.age >= (found.dead or 0.0))
        return found.dead is not None and (dead >= 2 or not self.loss or bool(self.ends))

    def nobody_behind(self, opening: int) -> bool:
        """Tell whether all so far, and enough of them, were ended as soon as they stood."""
        enough = self.turned_away >= _ENOUGH_TURNED_AWAY or not (self.living or opening)
        return 0 < self.turned_away == len(self.shed) and not self.settled and enough

    def _told_by_ends(self) -> list[Trial]:
        """An end that came unasked passed the path; if the path sent it, it also tells the timeout."""
        if who_ended(self.ends, self.living) != "path":
            return [Trial(True, end.since_packet - _SPREAD) for end in self.ends]
        first = min(end.since_packet for end in self.ends)  # the others were only seen later
        return [Trial(True, first - _SPREAD), Trial(False, first + _SPREAD)]


_SPREAD = 0.02  # s by which equal times may differ: ticks, and a busy machine
_TELLING = 0.2  # s: a difference that is no such thing


def who_ended(ends: list[Ended], living: int) -> Literal["peer", "path"] | None:
    """Tell whose timer ended connections unasked, or None if it is too early to tell.

    A server does not see keepalive probes: its connections end at equal times after they were made, however
    recently one was probed. A box on the path sees them: its connections end equally long after the last.
    """
    if not ends or (len(ends) < _ENOUGH_ENDS and living):
        return None
    by_connection = _spread([end.since_connected for end in ends])
    by_packet = _spread([end.since_packet for end in ends])
    if max(by_connection, by_packet) < _TELLING and living:
        return None  # they were made and probed at nearly the same time: others will tell
    return "path" if by_packet < by_connection / 3 else "peer"


def _spread(values: list[float]) -> float:
    return max(values) - min(values)


def closed_after(evidence: Evidence) -> float:
    """Return the seconds after which the peer closes."""
    return statistics.median([end.since_connected for end in evidence.ends] or evidence.shed)


def judge(
    evidence: Evidence, longest: float, width: float, *, opening: int = 0, suspects: int = 0
) -> Behaviour | None:
    """Return what the path does, or None while that is open.

    *longest*: the longest silence to be tried. *width*: seconds that the bracket may be wide. *opening*:
    connections still to come. *suspects*: those that have not answered so far.
    """
    found = evidence.bracket()
    if evidence.nobody_behind(opening):
        return "unreachable"
    all_shed = evidence.shed and not evidence.living and not evidence.settled and not opening
    if all_shed or who_ended(evidence.ends, evidence.living) == "peer":
        if suspects and not evidence.outage:
            return None  # the path may have forgotten them before the peer closed the others
        return "closed-by-peer" if found.dead is None else forgetting(evidence)
    if evidence.outage or evidence.died_young >= _MASSACRE:
        return "outage"
    talkers = [rung for rung, times in evidence.talk.items() if times >= _ENOUGH_TALK]
    if evidence.disturbed >= _ENOUGH_DISTURBED or len(talkers) >= _ENOUGH_ENDS:
        return "kept-alive-by-peer"
    if evidence.acknowledged is not None and not evidence.settled:
        return "probes-filtered" if evidence.acknowledged else "silent"
    at_once = found.alive is None and found.dead is not None and found.dead < _SHORTEST
    if found.sure and (found.width <= width or at_once) and evidence.believed(found):
        return forgetting(evidence)
    if found.sure and found.alive is not None and found.alive >= longest - _SPREAD and found.dead is None:
        return "outlived"
    return None


def forgetting(evidence: Evidence) -> Behaviour:
    """Return how the path forgets: in silence, or with an RST."""
    told = len(evidence.ends) if who_ended(evidence.ends, evidence.living) == "path" else 0
    return "reset" if evidence.deaths["reset"] + told > evidence.deaths["silent"] else "silent"


def needs_data(evidence: Evidence, waiting: int) -> bool:
    """Tell whether only data can show if the path is alive: no probe was ever answered."""
    enough = evidence.unsettled >= _UNSETTLED or (evidence.unsettled > 0 and not waiting)
    return enough and not evidence.settled and not evidence.asked_by_data


def caveats(evidence: Evidence, behaviour: Behaviour) -> list[str]:
    """Return, in sentences, what a reader of the result should know."""
    found, said = evidence.bracket(), []
    if behaviour in ("silent", "reset") and not found.sure:
        said.append(
            "The connections contradict each other, so the bracket spans all they said: the path loses much, "
            "or it is more than one (several gateways with different timeouts)."
        )
    if behaviour == "outage":
        said.append(
            "Connections made since are alive: something on the way was restarted, or lost its memory."
            if evidence.died_young >= _MASSACRE
            else "Nothing has answered since."
        )
    if evidence.loss > 0.02 and behaviour in ("silent", "reset", "outlived"):
        said.append(f"About {evidence.loss:.0%} of the questions, or their answers, were lost on the way.")
    mixed = evidence.deaths["silent"] and evidence.deaths["reset"]
    if behaviour in ("silent", "reset") and mixed:
        said.append(
            f"{evidence.deaths['reset']} connections were reset, {evidence.deaths['silent']} died in silence."
        )
    if behaviour in ("silent", "reset") and who_ended(evidence.ends, evidence.living) == "peer":
        said.append(f"The other end closes after {closed_after(evidence):.1f} s: that ended the measurement.")
    if behaviour == "silent" and not evidence.settled:
        said.append("Even a connection that was idle for one second was dead: no keepalive is fast enough.")
    if behaviour == "closed-by-peer":
        said.append(
            "No keepalive changes when it closes. The path may allow longer silences than that: to find out, "
            "probe a server that does not close, such as keptalive serve."
        )
    return said
