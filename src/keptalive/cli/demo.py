"""`keptalive demo`: the firewall that forgets and the cure, on this machine, in twenty seconds.

Rule: prints what `lab.demonstration` did; the verdict is a sentence about those rows.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from keptalive.cli.exits import Exit
from keptalive.cli.output import columns, escape, print_json, table, wrapped
from keptalive.environment import VARIABLE
from keptalive.lab import Lab, open_lab
from keptalive.lab.demonstration import Arm, clients_missing, demonstrate
from keptalive.lab.faults import ENGINES
from keptalive.policy import Policy
from keptalive.presets import parse_policy

IDLE_TIMEOUT = 5
RESPONSE_AFTER = 10.0

_WIDTH = 98  # of the table with a row for each client, once all outcomes are there

Watch = Callable[[list[Arm], float], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--policy",
        metavar="POLICY",
        help="hold with IDLE:INTERVAL:COUNT in seconds, or a preset's "
        f"(default {_fitting_policy()}, which fits)",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="the firewall's engine (default: the first that works here)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> Exit:
    """Run the demonstration; OK only if every plain client was lost and every held one answered."""
    policy = parse_policy(args.policy) if args.policy else _fitting_policy()
    with open_lab(f"idle-drop:{IDLE_TIMEOUT}", args.engine) as lab:
        if not args.json:
            print(_scene(lab, policy), flush=True)
        arms, interrupted = _demonstrate(lab, policy, quiet=args.json)
        if interrupted:
            if arms and not args.json:
                print(f"{_as_text(arms)}\n\nInterrupted.")
            return Exit.INTERRUPTED
        ok = all((arm.outcome == "answered") is arm.held for arm in arms)
        if args.json:
            print_json(
                {
                    "engine": lab.engine,
                    "engine_reason": lab.engine_reason,
                    "idle_timeout": IDLE_TIMEOUT,
                    "response_after": RESPONSE_AFTER,
                    "policy": str(policy),
                    "clients": [arm.row() for arm in arms],
                    "ok": ok,
                }
            )
        else:
            print(f"{_as_text(arms)}\n\n{_verdict(arms, policy, ok)}")
    return Exit.OK if ok else Exit.PROBLEM


def _demonstrate(lab: Lab, policy: Policy, *, quiet: bool) -> tuple[list[Arm], bool]:
    """Return the arms, and whether Ctrl-C has ended it: as far as they had come then."""
    arms: list[Arm] = []
    try:
        with _display(quiet=quiet) as show:

            def watch(now: list[Arm], elapsed: float) -> None:
                arms[:] = now
                show(now, elapsed)

            demonstrate(lab, policy, RESPONSE_AFTER, watch)
    except KeyboardInterrupt:
        return arms, True
    return arms, False


def _fitting_policy() -> Policy:
    return Policy.for_idle_timeout(IDLE_TIMEOUT)


def _scene(lab: Lab, policy: Policy) -> str:
    return (
        f"A firewall on this machine forgets connections idle for {IDLE_TIMEOUT} s, and tells nobody.\n"
        f"An endpoint behind it answers after {RESPONSE_AFTER:g} s. Each client asks twice at once:\n"
        f"plain, and held with idle {policy.idle} s, interval {policy.interval} s, count {policy.count}.\n"
        f"{wrapped(f'Engine: {lab.engine} ({escape(lab.engine_reason)}).')}\n"
        + "".join(f"{wrapped(note)}\n" for note in _notes())
    )


def _notes() -> Iterator[str]:
    """Yield what is not as one might expect."""
    missing = clients_missing()
    if missing:
        yield f"Not installed here, so not shown: {', '.join(missing)}."
    if VARIABLE in os.environ:
        yield f"{VARIABLE}={escape(os.environ[VARIABLE])} is ignored here: the clients run without it."


def _pairs(arms: list[Arm]) -> list[tuple[Arm, Arm]]:
    return list(zip(arms[::2], arms[1::2], strict=True))


def _as_text(arms: list[Arm]) -> str:
    """Return a row for each client; one for each of its two requests where the terminal is too narrow."""
    if sys.stdout.isatty() and columns(sys.stdout) < _WIDTH:
        rows = [(arm.client, ("plain", "held")[arm.held], *_cells(arm)) for arm in arms]
        return table(("client", "", "timer", "outcome"), rows)
    header = ("client", "plain: timer", "outcome", "held: timer", "outcome")
    return table(header, [(plain.client, *_cells(plain), *_cells(held)) for plain, held in _pairs(arms)])


def _cells(arm: Arm) -> tuple[str, str]:
    return (arm.timer or "-", _outcome(arm))


def _outcome(arm: Arm) -> str:
    if arm.outcome == "answered":
        return f"answered after {arm.seconds:.1f} s"
    if arm.outcome == "lost":
        return f"lost: {arm.error}"
    return "waiting"


def _verdict(arms: list[Arm], policy: Policy, ok: bool) -> str:
    held = [arm for arm in arms if arm.held]
    plain = [arm for arm in arms if not arm.held]
    answered = sum(arm.outcome == "answered" for arm in held)
    lost = sum(arm.outcome == "lost" for arm in plain)
    counts = (
        f"{lost} of {len(plain)} plain clients lost the answer, {answered} of {len(held)} held ones got it."
    )
    if ok:
        return f"{counts}\nWhat made the difference: session = keptalive.hold(requests.Session())."
    if policy.idle >= IDLE_TIMEOUT:
        late = f"idle {policy.idle} s is too long for a firewall that forgets after {IDLE_TIMEOUT} s"
        return f"{counts}\nNo wonder: {late}."
    failed = "That is not what keepalive promises: on this machine, with this policy, it failed."
    return f"{counts}\n{wrapped(failed)}"


@contextmanager
def _display(*, quiet: bool) -> Iterator[Watch]:
    """Yield what shows the arms while they run: a live table, a line on stderr, or nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda arms, elapsed: None
        return
    if sys.stdout.isatty():
        try:
            from rich.live import Live
            from rich.text import Text
        except ImportError:
            pass  # a plain line of progress serves as well
        else:
            with Live(transient=True, refresh_per_second=8) as live:
                yield lambda arms, elapsed: live.update(Text(f"{_as_text(arms)}\n\n{elapsed:4.1f} s"))
            return

    def line(arms: list[Arm], elapsed: float) -> None:
        waiting = sum(arm.outcome is None for arm in arms)
        print(
            f"\r{elapsed:4.1f} s, {waiting} of {len(arms)} requests waiting ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    try:
        yield line
    finally:
        print("\r\x1b[K", end="", file=sys.stderr)
