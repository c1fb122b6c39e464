"""Record in the lab what the drawings show: a request through a firewall that misbehaves, plain and held.

python docs/figures/record.py

Rule: writes traces.json, what the packet engine saw and what the client got; nothing is drawn here. It needs
root, or a machine that lets users make network namespaces, and takes two minutes.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from keptalive.lab import Lab, LabEvent, open_lab

TRACES = Path(__file__).with_name("traces.json")

FAULTS = (
    "idle-drop:5",
    "idle-reset:5",
    "idle-reset-both:5",
    "gateway-timeout:5",
    "blackhole@3",
    "probes-filtered",
)
RESPONSE_AFTER = 8
POLICY = "2:1:3"
PATIENCE = 12.0  # s, the clients' own time-out: where it ends the wait, the client would have waited on

_CLIENT = """\
import http.client, json, os, sys, time
from urllib.parse import urlsplit
import keptalive

policy, patience, path = sys.argv[1:]
where = urlsplit(os.environ["KEPTALIVE_LAB_URL"])
client = http.client.HTTPConnection(where.hostname, where.port, timeout=float(patience))
if policy:
    keptalive.hold(client, keptalive.Policy.parse(policy))
try:
    client.request("GET", path)
    got = str(client.getresponse().status)
except TimeoutError as error:
    got = "timed out" if error.errno is None else "error: " + os.strerror(error.errno)
except OSError as error:
    got = "error: " + os.strerror(error.errno)
print(json.dumps({"got": got, "ended": time.monotonic()}))
"""


def main() -> int:
    """Record every scene."""
    scenes = {
        fault: {arm: _record(fault, policy) for arm, policy in (("plain", ""), ("held", POLICY))}
        for fault in FAULTS
    }
    machine = (
        f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )
    facts = {
        "recorded": time.strftime("%Y-%m-%d"),
        "machine": machine,
        "response_after": RESPONSE_AFTER,
        "policy": POLICY,
        "patience": PATIENCE,
        "scenes": scenes,
    }
    TRACES.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    return 0


def _record(fault: str, policy: str) -> dict[str, Any]:
    with open_lab(fault, "packet") as lab:
        argv = [sys.executable, "-c", _CLIENT, policy, str(PATIENCE), f"/sleep/{RESPONSE_AFTER}"]
        with lab.popen(argv, stdout=-1, text=True) as client:
            answer = json.loads(client.communicate(timeout=60)[0])
        events = lab.events
        start = events[0].time
        rows = [_row(lab, event, start) for event in events if event.time <= answer["ended"]]
    print(f"{fault}, {policy or 'plain'}: {answer['got']}", file=sys.stderr)
    return {"got": answer["got"], "seconds": round(answer["ended"] - start, 2), "events": rows}


def _row(lab: Lab, event: LabEvent, start: float) -> dict[str, Any]:
    """Return an event without the addresses and ports of the day."""
    addresses, _, what = event.detail.partition(": ")
    to = ""
    if " > " in addresses and event.sender:
        to = "server" if addresses.endswith(f":{lab.port}") else "client"
    elif not what:
        what = event.detail
    return {
        "at": round(event.time - start, 3),
        "kind": event.kind,
        "from": event.sender,
        "to": to,
        "what": what,
    }


if __name__ == "__main__":
    sys.exit(main())
