"""`keptalive lab run`: a command on the client's side of the firewall.

Rule: the lab is there for one command and ends with it, with its exit code.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import nullcontext
from typing import Any

from keptalive.cli.argument_types import number
from keptalive.cli.exits import Exit
from keptalive.cli.lab_trace import LACKS, Trace, open_traced
from keptalive.cli.output import complain, escape
from keptalive.cli.program import add_command
from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab
from keptalive.lab.faults import ENGINES, Faults, parse
from keptalive.linux.becoming import exit_status


def add_parser(verbs: Any) -> None:
    """Declare this verb."""
    parser = verbs.add_parser(
        "run",
        help="run a command on the client's side of the firewall",
        description="Run a command on the client's side of the firewall. KEPTALIVE_LAB_URL names the slow "
        "server behind it: $KEPTALIVE_LAB_URL/sleep/10 answers after 10 s. Returns the command's exit code.",
        allow_abbrev=False,
    )
    parser.usage = (
        "keptalive lab run [-h] [--fault FAULT[,FAULT]]\n"
        "                         [--engine {kernel,packet,relay}] [--speed N] [--trace]\n"
        "                         -- CMD [ARG ...]"
    )
    parser.add_argument(
        "--fault",
        default="idle-drop:5",
        metavar="FAULT[,FAULT]",
        help="what goes wrong (default %(default)s), or a preset; `keptalive lab faults` lists them",
    )
    parser.add_argument("--engine", choices=ENGINES, help="default: the first that works here")
    parser.add_argument(
        "--speed", type=number, default=1.0, metavar="N", help="divide the fault's times by N (default 1)"
    )
    parser.add_argument(
        "--trace", action="store_true", help="show the packets that matter on stderr: probes, answers, drops"
    )
    add_command(parser, "the command and its arguments; what follows -- is passed on as it is")


def run(args: argparse.Namespace) -> int:
    """Run the command; return its exit code as a shell counts it."""
    try:
        faults = parse(args.fault).scaled(args.speed)
        if args.engine and (refusal := faults.refusal(args.engine)):
            raise LabError(refusal)
    except LabError as error:
        complain(error, as_json=False)
        return Exit.USAGE
    with open_traced(faults, args.engine) if args.trace else open_lab(faults, args.engine) as lab:
        _say(f"keptalive lab: KEPTALIVE_LAB_URL={lab.url}")
        _say(f"  {faults}, {lab.engine} engine{escape(_why_not_before(lab, faults))}")
        if args.trace and LACKS[lab.engine]:
            _say(f"keptalive: {LACKS[lab.engine]}")
        with Trace(lab) if args.trace else nullcontext():
            return _run_in(lab, args.command)


def _why_not_before(lab: Lab, faults: Faults) -> str:
    """Say why an engine that could do it, and would have been taken before, was not: "" if there is none."""
    reason, using, _ = lab.engine_reason.partition(f"; using the {lab.engine}")
    before = ENGINES[: ENGINES.index(lab.engine)]
    return f" ({reason})" if using and any(faults.refusal(each) is None for each in before) else ""


def _run_in(lab: Lab, command: list[str]) -> int:
    try:
        process = lab.popen(command)
    except OSError as error:
        print(f"keptalive: cannot run {escape(command[0])}: {error.strerror}", file=sys.stderr)
        return exit_status(error)
    # Ctrl-C is the command's: the terminal sends it to both, and the lab ends after it.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
