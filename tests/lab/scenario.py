"""The table every engine must agree on: client behaviour -> outcome; also a script, for other users' rights.

python scenario.py [ENGINE]    prints {"engine": …, "reason": …, "uid": …, "outcomes": {case: outcome}}
                               or {"refused": …} as JSON
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab

IDLE_TIMEOUT = 2
ANSWER_AFTER = 5.0
#: How long silence must last to count: the answer was due two seconds before.
SILENCE = ANSWER_AFTER + 2
#: For what is sure to come, however busy the machine.
PATIENCE = 40.0

FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
# idle, interval, count; None: keepalive off
CLIENTS = {"plain": None, "half-closed": None, "held": (1, 1, 5), "idle too long": (4, 1, 2)}
EXPECTED = {"plain": "silence", "half-closed": "silence", "held": "answered", "idle too long": "ETIMEDOUT"}


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


def outcome(lab: Lab, client: str, family: int) -> str:
    """Ask for an answer that is later than the firewall's memory; say what came."""
    keepalive = CLIENTS[client]
    with lab.client_socket(family) as sock:
        sock.settimeout(PATIENCE)
        if keepalive is not None:
            keep_alive(sock, *keepalive)
        ask(lab, sock, f"/sleep/{ANSWER_AFTER}")
        if client == "half-closed":
            sock.shutdown(socket.SHUT_WR)
        if keepalive is None:
            sock.settimeout(SILENCE)
        started = time.monotonic()
        try:
            answer = sock.recv(4096)
        except OSError as error:
            if error.errno is not None:
                return errno.errorcode[error.errno]
            return "silence" if state(sock) in (1, 5) else "closed"
        early = time.monotonic() - started < ANSWER_AFTER - 0.5
        return "answered" if answer.startswith(b"HTTP/1.1 200 ") and not early else repr(answer)


def outcomes(lab: Lab) -> dict[str, str]:
    """Run every case at once."""
    found: dict[str, str] = {}

    def run(client: str, version: str) -> None:
        found[f"{client}, {version}"] = outcome(lab, client, FAMILIES[version])

    threads = [
        threading.Thread(target=run, args=(client, version))
        for version in FAMILIES
        if version == "IPv4" or lab.host6 is not None
        for client in CLIENTS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> None:
    try:
        opened = open_lab(f"idle-drop:{IDLE_TIMEOUT}", *sys.argv[1:])
    except LabError as error:
        print(json.dumps({"refused": str(error)}))
        return
    with opened as lab:
        found = {"engine": lab.engine, "reason": lab.engine_reason, "uid": os.getuid()}
        print(json.dumps({**found, "outcomes": outcomes(lab)}))


if __name__ == "__main__":
    main()
