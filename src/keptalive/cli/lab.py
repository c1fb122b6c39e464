"""`keptalive lab`: the firewall that forgets, for a command of yours.

Rule: `run` is the lab around one command and ends with it, with its exit code;
`faults` lists what can go wrong and which engines can do it.
"""

from __future__ import annotations

import argparse
import signal
import sys

from keptalive.cli.exits import Exit
from keptalive.cli.output import complain, escape, print_json, table
from keptalive.errors import LabError
from keptalive.lab import open_lab
from keptalive.lab.faults import FAULTS, parse

_ENGINES = ("kernel", "relay")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs under this verb."""
    verbs = parser.add_subparsers(dest="lab_verb", required=True, metavar="run|faults", help="what to do")
    run_parser = verbs.add_parser(
        "run",
        help="run a command on the client's side of the firewall",
        description="Run a command on the client's side of the firewall. KEPTALIVE_LAB_URL names the slow "
        "server behind it: $KEPTALIVE_LAB_URL/sleep/10 answers after 10 s. Returns the command's exit code.",
        allow_abbrev=False,
    )
    run_parser.add_argument("--fault", default="idle-drop:5", help="what goes wrong (default %(default)s)")
    run_parser.add_argument("--engine", choices=_ENGINES, help="default: the first that works here")
    run_parser.add_argument("command", metavar="-- CMD", help="the command")
    run_parser.add_argument("arguments", nargs="*", metavar="ARG", help="its arguments")
    faults = verbs.add_parser(
        "faults", help="list the faults", description="List the faults.", allow_abbrev=False
    )
    faults.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; for `run`, return the command's exit code as a shell counts it."""
    return _run(args) if args.lab_verb == "run" else _faults(args)


def _run(args: argparse.Namespace) -> int:
    try:
        parse(args.fault)
    except LabError as error:
        complain(error, as_json=False)
        return Exit.USAGE
    with open_lab(args.fault, args.engine) as lab:
        print(
            f"keptalive lab: {escape(args.fault)} on the {lab.engine} engine ({escape(lab.engine_reason)}); "
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


def _faults(args: argparse.Namespace) -> Exit:
    rows = [
        {"fault": fault.syntax, "engines": list(fault.engines), "does": _idea(fault)}
        for fault in FAULTS.values()
    ]
    if args.json:
        print_json({"faults": rows})
    else:
        cells = [(row["fault"], ", ".join(row["engines"]), row["does"]) for row in rows]
        print(table(("fault", "engines", "does"), cells))
    return Exit.OK


def _idea(fault: type) -> str:
    """Return what a fault does, as its file says."""
    return (fault.__doc__ or "").strip().partition("\n")[0].replace("*", "")
