"""Carries out rounds of chaos: a lab for each, and the evidence for the judge.

Rule: all rounds that go on at once begin together, when every process is warm, so that none is timed while
another imports. What the firewall did is read from its own record.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from chaos.child import Fate
from chaos.judge import PROMPT, Happened, Limits, complaints
from chaos.plan import DELAY, Asked, Round
from keptalive.lab import LabEvent, open_lab
from keptalive.lab.engines.namespaced import NamespacedLab
from matrix.drivers import driver
from matrix.harness import certificates, environment

#: How long a round may take: the answer, the longest detection, the kernel's limits, a busy machine.
PATIENCE = 60.0
_WARM_UP = 600.0  # s: imports, of all rounds at once

# "10.99.1.2:40000 > 10.99.2.2:41000: 57 bytes: blackhole"
_PACKET = re.compile(r"(?P<source>\S+) > (?P<destination>\S+): (?P<what>SYN|\d+ bytes?)\b")
_GONE = ("expired", "rebound")


@dataclass
class Verdict:
    """What became of a round, client by client."""

    round: Round
    fates: dict[tuple[str, str], Fate] = field(default_factory=dict)
    complaints: dict[str, list[str]] = field(default_factory=dict)  # by client; only where there are any
    of_plain: dict[str, list[str]] = field(default_factory=dict)  # the same, had the plain ones been held
    said: str = ""  # by the child, on stderr
    seconds: float = 0.0


@dataclass
class Evidence:
    """What the firewall's record says of one server's port."""

    died: list[float] = field(default_factory=list)
    data: list[float] = field(default_factory=list)  # sent by the client, whatever became of it
    syns: list[float] = field(default_factory=list)


def carry_out(rounds: Sequence[Round]) -> list[Verdict]:
    """Carry out these rounds, all at once, and judge them."""
    barrier = threading.Barrier(len(rounds))
    with ThreadPoolExecutor(len(rounds)) as pool:
        going_on = [pool.submit(_carry_out, one, barrier) for one in rounds]
    errors = [error for one in going_on if (error := one.exception()) is not None]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):  # which is what the others then have
            raise error
    return [one.result() for one in going_on]


def _carry_out(one: Round, barrier: threading.Barrier) -> Verdict:
    try:
        with _lab(one) as lab, _child(one, lab) as child:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError(f"{one}: the child did not come up:\n{child.communicate()[1]}")
            barrier.wait(_WARM_UP)
            began = time.monotonic()
            printed, said = child.communicate("go\n", timeout=2 * PATIENCE)
            # An SDK may have printed advice of its own in between.
            fates = [Fate(**json.loads(line)) for line in printed.splitlines() if line.startswith("{")]
            verdict = _judge(one, fates, sort_evidence(lab.events), said)
            verdict.seconds = time.monotonic() - began
            return verdict
    except BaseException:
        barrier.abort()
        raise


@contextmanager
def _lab(one: Round) -> Iterator[NamespacedLab]:
    with open_lab(one.fault, engine=one.family.engine) as lab:
        assert isinstance(lab, NamespacedLab)
        lab.set_sysctl("client", "ipv4/tcp_retries2", one.family.retries)
        lab.set_sysctl("client", "ipv4/tcp_syn_retries", one.family.syn_retries)
        yield lab


@contextmanager
def _child(one: Round, lab: NamespacedLab) -> Iterator[subprocess.Popen[str]]:
    """Start the server and the child; yield the child."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        ca_file = certificates(folder, lab.host, "127.0.0.1")
        control, plan = folder / "control", folder / "plan"
        options: dict[str, Any] = {"env": environment(), "stdout": subprocess.PIPE, "text": True}
        server = stack.enter_context(
            lab.popen_server(
                [
                    *(sys.executable, "-m", "chaos.server", lab.host),
                    *(str(folder / "server.pem"), str(DELAY), str(control)),
                ],
                stderr=subprocess.DEVNULL,  # clients that die in mid-handshake are its daily bread
                **options,
            )
        )
        stack.callback(server.kill)
        assert server.stdout is not None
        server.stdout.readline()
        plan.write_text(
            json.dumps(
                {
                    "asked": [asdict(asked) for asked in one.asked],
                    "host": lab.host,
                    "control": str(control),
                    "ca_file": ca_file,
                    "patience": PATIENCE,
                }
            )
        )
        child = stack.enter_context(
            lab.popen(
                [sys.executable, "-m", "chaos.child", str(plan)],
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **options,
            )
        )
        stack.callback(child.kill)
        yield child


def sort_evidence(events: Iterable[LabEvent]) -> dict[int, Evidence]:
    """Sort what the firewall did by the server's ports, which are each one request's; 0 is all of them."""
    found: dict[int, Evidence] = defaultdict(Evidence)
    for event in events:
        if event.kind == "state-lost" or event.detail in ("blackhole begins", "outage begins"):
            found[0].died.append(event.time)
        elif event.kind in _GONE:
            found[_port(event.detail.split(": ")[0].split(" > ")[1])].died.append(event.time)
        elif event.sender == "client" and (packet := _PACKET.match(event.detail)) is not None:
            evidence = found[_port(packet["destination"])]
            (evidence.syns if packet["what"] == "SYN" else evidence.data).append(event.time)
    return found


def _port(end: str) -> int:
    return int(end.rpartition(":")[2])


def _judge(one: Round, fates: Iterable[Fate], evidence: dict[int, Evidence], said: str) -> Verdict:
    verdict = Verdict(one, {(fate.client, fate.variant): fate for fate in fates}, said=said)
    limits = Limits(one.family.retries, one.family.syn_retries)
    for asked in one.asked:
        if driver(asked.client).missing("plain"):
            continue
        if (asked.client, "held") not in verdict.fates:
            verdict.complaints[asked.client] = ["there is no result"]
            continue
        held, plain = (verdict.fates[asked.client, variant] for variant in ("held", "plain"))
        allowed = max(plain.requests, asked.requests_by_itself())
        happened = happening(asked, held, evidence)
        if asked.limit is not None and plain.ended is not None:
            happened = replace(happened, own_timeout=max(asked.limit, plain.ended - plain.began))
        found = complaints(happened, limits, one.family.held, allowed)
        found += _control(asked, one.family.plain, happening(asked, plain, evidence))
        if found:
            verdict.complaints[asked.client] = found
        as_if_held = replace(
            happening(asked, plain, evidence), held=True, protected=True, late=min(plain.late, PROMPT)
        )
        if of_plain := complaints(as_if_held, limits, one.family.held, allowed):
            verdict.of_plain[asked.client] = of_plain
    return verdict


def _control(asked: Asked, wanted: str, plain: Happened) -> list[str]:
    """Say what is wrong with the plain request, without which the held one shows nothing."""
    if not wanted or not asked.waits or plain.outcome == wanted:
        return []
    if plain.data_since is not None or plain.syn_since is not None:
        return []  # the kernel sends it again, and ends the connection by itself
    return [f"the plain one was {plain.outcome}, not {wanted}: nothing is shown"]


def happening(asked: Asked, fate: Fate, evidence: dict[int, Evidence]) -> Happened:
    """Join what a request says of itself with what the firewall says of its port."""
    own, everyone = evidence.get(fate.port, Evidence()), evidence.get(0, Evidence())
    end = fate.ended if fate.ended is not None else float("inf")
    died = max((time for time in own.died + everyone.died if time <= end), default=None)

    def since(times: list[float]) -> float | None:
        """Return when the first was sent, or sent again, after the death: nothing acknowledges it."""
        return None if died is None else min((time for time in times if died <= time <= end), default=None)

    return Happened(
        fate.variant,
        fate.outcome,
        fate.began,
        fate.ended,
        fate.requests,
        asked.policy,
        fate.error,
        fate.held,
        died,
        since(own.data),
        since(own.syns),
        fate.rto,
        own_timeout=asked.limit,
        protected=fate.protected,
        late=fate.late,
    )
