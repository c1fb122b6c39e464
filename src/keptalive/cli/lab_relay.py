"""`keptalive lab relay`: the firewall between a program and a real server.

Rule: says where it listens before anything else, and every event when it happens; an interruption is its
normal end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from typing import Any

from keptalive.cli.argument_types import number
from keptalive.cli.exits import Exit
from keptalive.cli.output import SCHEMA, complain, escape
from keptalive.errors import BadInput, KeptaliveError, LabError, NotPermitted
from keptalive.lab.control import allow_many_sockets
from keptalive.lab.event import LabEvent
from keptalive.lab.faults import Faults, parse
from keptalive.lab.relaying import Relay
from keptalive.lab.upstream import on_loopback, parse_address, resolve
from keptalive.sockets import format_address

_LISTEN = "127.0.0.1:0"


def add_parser(verbs: Any) -> None:
    """Declare this verb."""
    parser = verbs.add_parser(
        "relay",
        help="put the firewall between your program and a real server",
        description="Listen here, relay to a server, and misbehave. Let your program connect here instead of "
        "to the server; TLS passes through untouched. Runs until it is interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the server")
    parser.add_argument(
        "--listen",
        default=_LISTEN,
        metavar="ADDR:PORT",
        help=f"an address of this machine; port 0 takes a free one (default {_LISTEN}: this machine alone)",
    )
    parser.add_argument(
        "--fault", default="idle-drop:5", metavar="FAULT", help="what goes wrong (default %(default)s)"
    )
    parser.add_argument(
        "--speed", type=number, default=1.0, metavar="N", help="divide the fault's times by N (default 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Relay until interrupted or terminated, which is the normal end."""
    try:
        faults = parse(args.fault).scaled(args.speed)
        if refusal := faults.refusal("relay"):
            others = " or ".join(faults.engines)
            hint = f"keptalive lab run has the {others} engine" if others else None
            raise LabError(refusal).with_hint(hint) if hint else LabError(refusal)
    except LabError as error:
        complain(error, as_json=args.json)
        return Exit.USAGE
    upstream = resolve(*parse_address(args.to))
    log = _Log(args.json)
    allow_many_sockets()
    relay = Relay(faults, log.event)
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        log.listening(_listen(relay, args.listen, upstream), args.to, faults)
        if _nobody_listens(upstream):
            detail = f"{args.to}: nothing on this machine listens there now"
            log.event(LabEvent(time.monotonic(), "unreached", detail))
        while True:
            relay.poller.turn()
    except KeyboardInterrupt:
        return Exit.OK
    finally:
        relay.close()


def _listen(relay: Relay, where: str, upstream: list[tuple[str, int]]) -> str:
    host, port = parse_address(where)
    try:
        ((address, port),) = {each[:2] for each in relay.listen([_resolve_here(host)], port, upstream)}
    except PermissionError as error:
        raise NotPermitted(f"this user may not listen at {where}") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise BadInput(f"cannot listen at {where}: {reason}") from error
    return format_address((address, port)) or ""


def _nobody_listens(upstream: list[tuple[str, int]]) -> bool:
    """Tell whether the server is to be on this machine, and is not there.

    By the kernel's list: a connection to try it might be the only one that the server takes.
    """
    if not all(on_loopback(address) for address, _ in upstream):
        return False
    from keptalive.connections import list_connections

    try:
        known = list_connections(owners=False, everything=True)
    except KeptaliveError:
        return False  # this kernel does not tell; each connection will
    ports = {port for _, port in upstream}
    return not any(one.state == "LISTEN" and int(one.local.rpartition(":")[2]) in ports for one in known)


def _resolve_here(host: str) -> str:
    """Return the numeric address of one of this machine's own."""
    return resolve(host, 1)[0][0]


class _Log:
    """What is printed: for people, where it listens on stdout and events on stderr; for programs, stdout."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        # Events have the monotonic clock's time; who reads them has a clock on the wall.
        self._epoch = time.time() - time.monotonic()

    def listening(self, address: str, to: str, faults: Faults) -> None:
        """Say where it listens, and what is done there."""
        if self._as_json:
            self._object(listening=address, to=to, faults=[str(part) for part in faults.parts])
            return
        print(f"listening on {address}", flush=True)
        print(f"keptalive lab: {faults} before {escape(to)}; Ctrl-C ends it", file=sys.stderr, flush=True)

    def event(self, event: LabEvent) -> None:
        """Say what happened."""
        when = self._epoch + event.time
        if self._as_json:
            self._object(time=round(when, 6), event=event.kind, detail=event.detail)
            return
        clock = time.strftime("%H:%M:%S", time.localtime(when)) + f".{int(when % 1 * 1000):03}"
        print(f"{clock} {event.kind:<9} {escape(event.detail)}", file=sys.stderr, flush=True)

    @staticmethod
    def _object(**values: object) -> None:
        print(json.dumps({"schema": SCHEMA, **values}), flush=True)
