"""`keptalive lab run`: a command on the client's side of the firewall.

Rule: the lab is there for one command and ends with it, with its exit code.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any

from keptalive.cli.exits import Exit
from keptalive.cli.output import complain, escape
from keptalive.errors import LabError
from keptalive.lab import open_lab
from keptalive.lab.faults import ENGINES, parse


def add_parser(verbs: Any) -> None:
    """Declare this verb."""
    parser = verbs.add_parser(
        "run",
        help="run a command on the client's side of the firewall",
        description="Run a command on the client's side of the firewall. KEPTALIVE_LAB_URL names the slow "
        "server behind it: $KEPTALIVE_LAB_URL/sleep/10 answers after 10 s. Returns the command's exit code.",
        allow_abbrev=False,
    )
    parser.add_argument("--fault", default="idle-drop:5", help="what goes wrong (default %(default)s)")
    parser.add_argument("--engine", choices=ENGINES, help="default: the first that works here")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="divide the fault's times by N (default 1)"
    )
    parser.add_argument("command", metavar="-- CMD", help="the command")
    parser.add_argument("arguments", nargs="*", metavar="ARG", help="its arguments")


def run(args: argparse.Namespace) -> int:
    """Run the command; return its exit code as a shell counts it."""
    try:
        faults = parse(args.fault).scaled(args.speed)
    except LabError as error:
        complain(error, as_json=False)
        return Exit.USAGE
    with open_lab(faults, args.engine) as lab:
        print(
            f"keptalive lab: {faults} on the {lab.engine} engine ({escape(lab.engine_reason)}); "
            f"KEPTALIVE_LAB_URL={lab.url}",
            file=sys.stderr,
            flush=True,
        )
        try:
            command = lab.popen([args.command, *args.arguments])
        except OSError as error:
            print(f"keptalive: cannot run {escape(args.command)}: {error.strerror}", file=sys.stderr)
            return 127 if isinstance(error, FileNotFoundError) else 126
        # Ctrl-C is the command's: the terminal sends it to both, and the lab ends after it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = command.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code
