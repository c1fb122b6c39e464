"""`keptalive probe`: how long may a connection on this path be idle?

Rule: prints what `probing.session` found; the numbers of the text and of the JSON are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from datetime import datetime, timezone

from keptalive.cli.argument_types import number, seconds, whole
from keptalive.cli.exits import Exit
from keptalive.cli.output import columns, escape, print_json, wrapped
from keptalive.cli.report_file import add_report_option, report_to
from keptalive.probing.ladder import Goal
from keptalive.probing.measure import Progress
from keptalive.probing.result import ProbeResult, numbers
from keptalive.probing.session import CONNECTIONS, LONGEST, RATE, Session
from keptalive.probing.signatures import SENTENCES
from keptalive.probing.target import parse_target, split_target

_EPILOG = """\
It opens a few dozen connections, leaves them idle, each for a time of its own,
and asks each with a TCP keepalive probe whether it is still alive. Nothing
else is sent. Takes little more than the timeout itself.

Exit codes: 0 the path allows the longest silence tried, or the server closed
first; 1 it forgets, or there is no connection to be had; 5 it could not be
told.
"""

_FINE = ("outlived", "closed-by-peer", "kept-alive-by-peer")
_FORGETS = ("silent", "reset")
_LONGER_NOT_TRIED = (
    "Longer silences were not tried: no policy follows from that. Let it run, or raise --max, until it has "
    "found the timeout or outlived a minute."
)
_SHOW_EVERY = 10.0  # s between lines of progress where no terminal overwrites them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "target", metavar="HOST[:PORT]", help="where to connect to; the port is 443 if none is given"
    )
    parser.add_argument(
        "--precision",
        type=number,
        default=0.01,
        metavar="PART",
        help="width of the bracket around the timeout, as a part of it (default 0.01)",
    )
    parser.add_argument(
        "--max",
        type=seconds,
        default=LONGEST,
        metavar="SECONDS",
        help=f"the longest silence to try (default {LONGEST:g})",
    )
    parser.add_argument(
        "--connections",
        type=whole,
        default=CONNECTIONS,
        metavar="N",
        help=f"open so many at most; fewer take longer (default {CONNECTIONS})",
    )
    parser.add_argument(
        "--rate",
        type=number,
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
            print("\n".join(map(wrapped, _as_text(result, interrupted))))
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
    if show is not None:
        print(wrapped(_beginning(args.target, target.port)), file=sys.stderr, flush=True)
    interrupted = False
    try:
        asyncio.run(session.run())
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if show is not None and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return session.result(), interrupted


def _beginning(text: str, port: int) -> str:
    chosen = "" if split_target(text)[1] else f" (port {port}, since none is given)"
    return f"Measuring the path to {escape(text)}{chosen}. Ctrl-C prints what is known so far."


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
        reason = escape(result.error or "")
        return [f"{where}: {SENTENCES['unreachable']} {reason[:1].upper()}{reason[1:]}."]
    else:
        lines = [f"{where}: {SENTENCES[result.behaviour]}"]
    lines += ["", *_table(result)]
    if result.policy is not None:
        policy = result.policy
        forgets = result.behaviour in _FORGETS
        lines += [
            "",
            "To keep it open:" if forgets else "A policy that relies on no more than that:",
            f"  keptalive run --policy {policy} -- CMD",
            f"  keptalive.hold(session, keptalive.Policy(idle={policy.idle}, interval={policy.interval}, "
            f"count={policy.count}))",
        ]
    elif result.too_short and (interrupted or result.behaviour == "outlived"):
        lines += ["", _LONGER_NOT_TRIED]
    if result.presets:
        lines += ["", "What has such a timeout by default:"]
        lines += [
            f"  {preset.title} ({preset.idle_timeout} s, {preset.at_expiry})" for preset in result.presets
        ]
    for caveat in result.caveats:
        lines += ["", f"Note: {escape(caveat)}"]
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
            # A line that is broken is not overwritten.
            line = _line(progress)[: columns(sys.stderr) - 1]
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif progress.elapsed - last >= _SHOW_EVERY:
            last = progress.elapsed
            print(_line(progress), file=sys.stderr, flush=True)

    return show


def _line(progress: Progress) -> str:
    """Return what fits into a line of 80 characters."""
    alive = "" if progress.alive_at is None else f"alive after {progress.alive_at:.1f} s, "
    now = f"silent for {progress.idle_for:.0f} s now"
    what = f"{alive}{now}" if progress.dead_at is None else f"{alive}dead after {progress.dead_at:.1f} s"
    left = f"{progress.left:.0f} s" if progress.left < 100 else f"{progress.left / 60:.0f} min"
    return f"{progress.elapsed:4.0f} s  {what}; at most {left} left"
