"""`keptalive run`: any program, unmodified, with keepalive on every connection of its process tree."""

from __future__ import annotations

import argparse
import os
import sys

from keptalive.cli.output import escape
from keptalive.cli.program import add_command
from keptalive.environment import VARIABLE, switched_off
from keptalive.errors import NotSupported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = (
        "keptalive run [-h] [--policy POLICY] [--summary FILE] [-v]\n                     -- CMD [ARG ...]"
    )
    parser.add_argument(
        "--policy",
        metavar="POLICY",
        help="set IDLE:INTERVAL:COUNT[:USER_TIMEOUT] in seconds, or a preset's, on every connection "
        f"(default: 45:15:9, or {VARIABLE}, where the program itself has not chosen better)",
    )
    parser.add_argument(
        "--summary",
        metavar="FILE",
        help="write to FILE, as JSON, which process was protected which way, and which was not, and why; "
        "kept up to date while the program runs",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say on stderr what is going to be done")
    add_command(
        parser, "the program and its arguments; keptalive becomes this program, and returns its exit status"
    )


def run(args: argparse.Namespace) -> int:
    """Become the program; returns only if that fails."""
    if not os.path.exists("/proc/self/environ"):  # noqa: PTH110  # pathlib takes 8 ms to import
        message = "`keptalive run` needs Linux, and /proc"
        raise NotSupported(message).with_hint("keptalive.install() protects a Python program anywhere")
    from keptalive.linux.becoming import become, exit_status, original_environment

    if args.summary is not None:
        args.summary = _summary_file(args.summary)
    environment = original_environment()
    if not switched_off():
        _protect(args, environment)
    elif args.verbose:
        _say(f"{VARIABLE}=off: {args.command[0]} runs as if keptalive were not here")
    try:
        become(args.command, environment)
    except OSError as error:
        _say(f"{args.command[0]} cannot be run: {error.strerror}")
        return exit_status(error)


def _protect(args: argparse.Namespace, environment: dict[bytes, bytes]) -> None:
    """Start the follower, and say what there is to say."""
    from keptalive.rescue.run import start_follower

    policy = _checked(args.policy)
    try:
        refusal = start_follower(environment, policy, args.summary)
    except OSError as error:
        _say(f"{args.command[0]} runs unprotected, since it cannot be followed: {error.strerror}")
        return
    if refusal:
        _say(f"only Python programs are sure to be protected here, from inside: {refusal}")
    elif args.verbose:
        _say(
            f"{args.command[0]} (process {os.getpid()}) and all that it starts are protected from outside, "
            f"{_described(policy)}"
        )


def _checked(policy: str | None) -> str | None:
    """Return a policy that this system takes, in figures; raises PolicyError."""
    if policy is None:
        if VARIABLE in os.environ:
            from keptalive.environment import default_policy

            default_policy()  # says now what is wrong with it: nobody will, once this is the program
        return None
    from keptalive.presets import parse_policy
    from keptalive.sockets import option_values

    chosen = parse_policy(policy)
    option_values(chosen)
    return str(chosen)


def _described(policy: str | None) -> str:
    if policy is not None:
        return f"with policy {policy}"
    from keptalive.environment import default_policy

    return f"with policy {default_policy()} where they have chosen no better"


def _say(text: str) -> None:
    if sys.stderr is not None:  # None if it was closed: print() would then take stdout
        print(f"keptalive: {escape(text)}", file=sys.stderr)


def _summary_file(path: str) -> str:
    """Return the whole path of a file that can be replaced. Raises BadInput."""
    from keptalive.output_file import refuse_unwritable

    refuse_unwritable(path, "the summary", replaced=True)
    return os.path.realpath(path)
