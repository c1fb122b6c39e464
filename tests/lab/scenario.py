"""The table every engine must agree on: fault, client -> outcome; also a script, for other users' rights.

python scenario.py ENGINE FAULT…    opens a lab for each fault, all at once, and prints as JSON
                                    {fault: {"engine": …, "reason": …, "outcomes": {"client, IPv4": …}}}
                                    or {fault: {"refused": …}}; ENGINE "" lets the lab choose
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab

ANSWER_AFTER = 5.0
#: How long silence must last to count: the answer was due two seconds before.
SILENCE = ANSWER_AFTER + 2
#: For what is sure to come, however busy the machine.
PATIENCE = 40.0

FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
# idle, interval, count; None: keepalive off
CLIENTS = {
    "plain": None,
    "half-closed": None,
    "held": (1, 1, 5),
    "impatient": (1, 1, 2),
    "idle too long": (4, 1, 2),
}

# What becomes of each client's request, in the order above. "end": a FIN, no answer; None: not asked.
TABLE: dict[str, tuple[str | None, ...]] = {
    "idle-drop:2": ("silence", "silence", "answered", "answered", "ETIMEDOUT"),
    "idle-reset:2": ("silence", "silence", "answered", "answered", "ECONNRESET"),
    "idle-reset-both:2": ("ECONNRESET", "ECONNRESET", "answered", "answered", "ECONNRESET"),
    "idle-close:2": ("end", "end", "end", "end", "end"),
    "gateway-timeout:2": ("504", "504", "504", "504", "504"),
    "probes-filtered": ("answered", "answered", "answered", "ETIMEDOUT", "answered"),
    "probes-filtered:2": ("silence", "silence", "ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT"),
    "nat-rebind:2": ("silence", "silence", "answered", "answered", "ECONNRESET"),
    "one-way:client:2": ("answered", "answered", "answered", "answered", "answered"),
    "one-way:server:2": ("silence", "silence", "answered", "answered", "ETIMEDOUT"),
    "blackhole@2": ("silence", "silence", "ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT"),
    "blackhole@1-5": ("answered", "answered", "answered", "ETIMEDOUT", "answered"),
    "outage@1-5": ("answered", "answered", "answered", "ETIMEDOUT", "answered"),
    "state-lost@2": ("silence", "silence", "ECONNRESET", "ECONNRESET", "ECONNRESET"),
    # Two probes in a row, of which one in ten gets no answer, are too few to be sure of.
    "loss:5%": ("answered", "answered", "answered", None, None),
    "delay:100": ("answered", "answered", "answered", "answered", "answered"),
    "idle-drop:2,delay:20": ("silence", "silence", "answered", "answered", "ETIMEDOUT"),
    # A proxy behind a firewall: who is not forgotten is given up.
    "idle-drop:2,gateway-timeout:3": ("silence", "silence", "504", "504", "ETIMEDOUT"),
    # It gives up in the dark, and says so until somebody hears it.
    "gateway-timeout:2,outage@1-4": ("504", "504", "504", "ETIMEDOUT", "504"),
}

# (engine, fault, client): what happens instead, and why.
_NOT_AGAIN = (
    "the relay can make itself deaf, not dumb: what is due in the dark it does not say, and not later"
)
DIFFERENCES: dict[tuple[str, str, str], tuple[str, str]] = {
    ("relay", "gateway-timeout:2,outage@1-4", client): (outcome, _NOT_AGAIN)
    for client, outcome in (
        ("plain", "silence"),
        ("half-closed", "silence"),
        ("held", "ETIMEDOUT"),
        ("idle too long", "ETIMEDOUT"),
    )
}


def expected(engine: str, fault: str, client: str) -> str | None:
    """Return what the table says of a client on an engine."""
    different = DIFFERENCES.get((engine, fault, client))
    return TABLE[fault][list(CLIENTS).index(client)] if different is None else different[0]


def keep_alive(sock: socket.socket, idle: int, interval: int, count: int) -> None:
    """Turn keepalive on, by the system's names alone: the library is not what is tested here."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)


def ask(lab: Lab, sock: socket.socket, target: str) -> None:
    """Connect, and send a GET request."""
    sock.connect((lab.host6 if sock.family == socket.AF_INET6 else lab.host, lab.port))
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())


def state(sock: socket.socket) -> int:
    """Return the connection's TCP state: 1 ESTABLISHED, 5 FIN-WAIT-2, 7 CLOSE, 8 CLOSE-WAIT."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def outcome(sock: socket.socket, patience: float) -> str:
    """Wait for an answer that is later than the firewall's memory; say what came."""
    sock.settimeout(patience)
    try:
        answer = sock.recv(4096)
    except OSError as error:
        if error.errno is not None:
            return errno.errorcode[error.errno]
        return "silence" if state(sock) in (1, 5) else "closed"
    finally:
        sock.close()
    if not answer:
        return "end"
    words = answer.split()
    return {b"200": "answered", b"504": "504"}.get(words[1], repr(answer))


def asked(lab: Lab, client: str, family: int) -> socket.socket:
    """Have a client ask for the late answer."""
    keepalive = CLIENTS[client]
    sock = lab.client_socket(family)
    sock.settimeout(PATIENCE)
    if keepalive is not None:
        keep_alive(sock, *keepalive)
    ask(lab, sock, f"/sleep/{ANSWER_AFTER}")
    if client == "half-closed":
        sock.shutdown(socket.SHUT_WR)
    return sock


_TURN = threading.Lock()


def patience(engine: str, fault: str, client: str) -> float:
    """Return how long to wait: where something must come, it may come late, however busy the machine."""
    return SILENCE if expected(engine, fault, client) == "silence" else PATIENCE


def outcomes(lab: Lab, fault: str) -> dict[str, str]:
    """Run every case: all ask one after the other, and then wait at once.

    One lab at a time asks, so that it takes no time, though the machine be busy: the clock of what happens
    at a moment runs from the first connection on.
    """
    with _TURN:
        cases = {
            (client, version): asked(lab, client, FAMILIES[version])
            for version in FAMILIES
            if version == "IPv4" or lab.host6 is not None
            for client, result in zip(CLIENTS, TABLE[fault], strict=True)
            if result is not None
        }
    with ThreadPoolExecutor(len(cases)) as pool:
        waiting = {
            f"{client}, {version}": pool.submit(outcome, sock, patience(lab.engine, fault, client))
            for (client, version), sock in cases.items()
        }
    return {name: future.result() for name, future in waiting.items()}


def run_all(engine: str | None, faults: list[str]) -> dict[str, Any]:
    """Open a lab for each fault, then run every case of every lab at once."""

    def opened(fault: str) -> Lab | str:
        try:
            return open_lab(fault, engine)
        except LabError as error:
            return str(error)

    with ExitStack() as labs, ThreadPoolExecutor(len(faults)) as pool:
        there = dict(zip(faults, pool.map(opened, faults), strict=True))
        for lab in there.values():
            if isinstance(lab, Lab):
                labs.enter_context(lab)
        waiting = {
            fault: pool.submit(outcomes, lab, fault) for fault, lab in there.items() if isinstance(lab, Lab)
        }
        return {
            fault: {"refused": lab}
            if isinstance(lab, str)
            else {
                "engine": lab.engine,
                "reason": lab.engine_reason,
                "outcomes": waiting[fault].result(),
            }
            for fault, lab in there.items()
        }


if __name__ == "__main__":
    print(json.dumps(run_all(sys.argv[1] or None, sys.argv[2:])))
