"""`keptalive probe`: how long may a connection on this path be idle?

Rule: prints what `probing.session` found; the numbers of the text and of the JSON are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from datetime import datetime, timezone

from keptalive.cli.exits import Exit
from keptalive.cli.output import escape, print_json
from keptalive.cli.report_file import add_report_option, report_to
from keptalive.probing.ladder import Goal
from keptalive.probing.measure import Progress
from keptalive.probing.result import ProbeResult, numbers
from keptalive.probing.session import CONNECTIONS, LONGEST, RATE, Session
from keptalive.probing.signatures import SENTENCES
from keptalive.probing.target import parse_target

_EPILOG = """\
It opens a few dozen connections, leaves them idle, each for a time of its own, and asks each with a TCP
keepalive probe whether it is still alive. Nothing else is sent. Takes little more than the timeout itself.

Exit codes: 0 the path allows the longest silence tried, or the server closed first; 1 it forgets, or there is
no connection to be had; 5 it could not be told.
"""

_FINE = ("outlived", "closed-by-peer", "kept-alive-by-peer")
_FORGETS = ("silent", "reset")
_SHOW_EVERY = 10.0  # s between lines of progress where no terminal overwrites them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "target", metavar="HOST[:PORT]", help="where to connect to; the port is 443 if none is given"
    )
    parser.add_argument(
        "--precision",
        type=float,
        default=0.01,
        metavar="PART",
        help="width of the bracket around the timeout, as a part of it (default 0.01)",
    )
    parser.add_argument(
        "--max",
        type=float,
        default=LONGEST,
        metavar="SECONDS",
        help=f"the longest silence to try (default {LONGEST:g})",
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=CONNECTIONS,
        metavar="N",
        help=f"open so many at most; fewer take longer (default {CONNECTIONS})",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=RATE,
        metavar="N",
        help=f"open so many connections a second, 0 for no limit (default {RATE:g})",
    )
    parser.add_argument(
        "--tls", action="store_true", help="do a TLS handshake, for servers that hang up on who is silent"
    )
    parser.add_argument(
        "--http",
        metavar="PATH",
        help="request PATH, whose answer is slow: for servers that let only pending requests be idle",
    )
    add_report_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> Exit:
    """Measure, and print; interrupted, print what is known so far."""
    with report_to(args.report) as write:
        result, interrupted = _measure(args)
        if args.json:
            print_json({**result.row(), "interrupted": interrupted})
        else:
            print("\n".join(_as_text(result, interrupted)))
        if write is not None:
            from keptalive.diagnosis.report.of_probe import probe_page

            now = datetime.now(timezone.utc)
            write(probe_page(result, when=f"{now:%Y-%m-%d %H:%M} UTC", interrupted=interrupted))
    return Exit.INTERRUPTED if interrupted else _exit(result)


def _measure(args: argparse.Namespace) -> tuple[ProbeResult, bool]:
    """Return what was found, and whether that was interrupted."""
    target = parse_target(args.target, tls=args.tls, http=args.http)
    goal = Goal(args.precision, args.max, args.connections)
    show = None if args.json and not sys.stderr.isatty() else _progress()
    session = Session(target, goal, rate=args.rate, progress=show)
    interrupted = False
    try:
        asyncio.run(session.run())
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if show is not None and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return session.result(), interrupted


def _exit(result: ProbeResult) -> Exit:
    if result.behaviour == "unknown":
        return Exit.UNKNOWN
    return Exit.OK if result.behaviour in _FINE else Exit.PROBLEM


def _as_text(result: ProbeResult, interrupted: bool) -> list[str]:
    where = escape(
        f"{result.host}:{result.port}" if ":" not in result.host else f"[{result.host}]:{result.port}"
    )
    if result.address not in (None, where):
        where += f" ({escape(result.address)})"
    if interrupted:
        lines = [f"{where}: interrupted after {result.seconds:.1f} s. What is known so far:"]
    elif result.behaviour == "unreachable":
        return [f"{where}: {SENTENCES['unreachable']} {escape(result.error or '')}".rstrip() + "."]
    else:
        lines = [f"{where}: {SENTENCES[result.behaviour]}"]
    lines += ["", *_table(result)]
    if result.policy is not None:
        policy = result.policy
        what = (
            "Keep it open with"
            if result.behaviour in _FORGETS
            else "A policy that relies on no more than that:"
        )
        lines += [
            "",
            f"{what} --policy {policy}, in Python keptalive.Policy(idle={policy.idle}, "
            f"interval={policy.interval}, count={policy.count}).",
        ]
    if result.presets:
        lines += ["", "What has such a timeout by default:"]
        lines += [
            f"  {preset.title} ({preset.idle_timeout} s, {preset.at_expiry})" for preset in result.presets
        ]
    lines += [f"\nNote: {escape(caveat)}" for caveat in result.caveats]
    return lines


def _table(result: ProbeResult) -> list[str]:
    rows = numbers(result)
    width = max(len(name) for name, _ in rows)
    return [f"  {name:{width}}  {text}" for name, text in rows]


def _progress() -> Callable[[Progress], None]:
    """Return what shows how it is going: one line that changes, or one every ten seconds."""
    terminal = sys.stderr.isatty()
    last = 0.0

    def show(progress: Progress) -> None:
        nonlocal last
        if terminal:
            print(f"\r\x1b[K{_line(progress)}", end="", file=sys.stderr, flush=True)
        elif progress.elapsed - last >= _SHOW_EVERY:
            last = progress.elapsed
            print(_line(progress), file=sys.stderr, flush=True)

    return show


def _line(progress: Progress) -> str:
    alive = "" if progress.alive_at is None else f"alive at {progress.alive_at:.1f} s, "
    if progress.dead_at is None:
        what = f"{alive}nothing dead yet; longest silence now {progress.idle_for:.0f} s"
    else:
        what = f"{alive}dead at {progress.dead_at:.1f} s"
    left = f"{progress.left:.0f} s" if progress.left < 100 else f"{progress.left / 60:.0f} min"
    return f"{progress.elapsed:4.0f} s  {what}; {left} left at most"
