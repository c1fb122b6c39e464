"""`keptalive lab`: the firewall that forgets, for a command of yours, or between a program and a real server.

Rule: each verb under this one is a file of its own, with add_parser(verbs) and run(args).
"""

from __future__ import annotations

import argparse

from keptalive.cli import lab_faults, lab_relay, lab_run

_VERBS = {"run": lab_run, "relay": lab_relay, "faults": lab_faults}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs under this verb."""
    verbs = parser.add_subparsers(
        dest="lab_verb", required=True, metavar="|".join(_VERBS), help="what to do; each has its own --help"
    )
    for verb in _VERBS.values():
        verb.add_parser(verbs)


def run(args: argparse.Namespace) -> int:
    """Do what was asked; for `run`, return the command's exit code as a shell counts it."""
    return int(_VERBS[args.lab_verb].run(args))
