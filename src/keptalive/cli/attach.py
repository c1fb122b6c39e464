"""`keptalive attach`: keepalive on the connections of running programs, from outside."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from keptalive.cli.argument_types import process_number
from keptalive.cli.exits import Exit, exit_for
from keptalive.cli.output import SCHEMA, complain, escape, room, sentence
from keptalive.errors import KeptaliveError
from keptalive.linux import processes
from keptalive.presets import parse_policy
from keptalive.rescue.attach import check, hold_process
from keptalive.rescue.keeper import Keeper, Look
from keptalive.rescue.tree import Tree
from keptalive.sockets import SocketState

# Seconds between two looks. Keepalive does not matter to a connection younger than that.
_PAUSE = 1.0

# The parts of a line: where it is too long for the terminal, the last, or each, is a line of its own.
_PARTS = ("{:15}  {:>7}  {:>4}", "{:21}  {:21}", "{:24}  {}")
_HEADER = (
    _PARTS[0].format("PROCESS", "PID", "FD"),
    _PARTS[1].format("LOCAL", "REMOTE"),
    _PARTS[2].format("BEFORE", "NOW"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("pids", type=process_number, nargs="+", metavar="PID", help="the running program")
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="stay until the program ends: new sockets are protected within a second or two, children too",
    )
    parser.add_argument(
        "--policy",
        type=str,
        metavar="POLICY",
        help="IDLE:INTERVAL:COUNT[:USER_TIMEOUT] in seconds, or a preset's, set exactly; without it 45:15:9, "
        "which leaves alone what is protected as well or better",
    )
    parser.add_argument("--json", action="store_true", help="for programs; with --follow one line a look")


def run(args: argparse.Namespace) -> Exit:
    """Attach once, or follow; say what was found, done, and refused."""
    policy = None if args.policy is None else parse_policy(args.policy)
    check(policy)
    for pid in args.pids:
        hold_process(pid).close()  # a number that names no process is said before anything is done
    keeper, shown = Keeper(policy), _Shown(args)
    tree = Tree(args.pids)
    try:
        looks = list(keeper.look(tree.members.values()))
        if keeper.refusals and keeper.refusals.keys() >= tree.members.keys():
            raise next(iter(keeper.refusals.values()))  # to follow what may not be reached would never end
        if args.follow:
            tree.grow()
            looks += keeper.look(tree.members.values())
        shown.show(looks, keeper.refusals)
        if args.follow:
            shown.follow()
        while args.follow and tree.members:
            tree.wait(_PAUSE)
            tree.grow()
            shown.show(list(keeper.look(tree.members.values())), keeper.refusals)
    except KeyboardInterrupt:
        shown.end()
        raise
    finally:
        tree.close()
    shown.end()
    if keeper.refusals:
        return exit_for(next(iter(keeper.refusals.values())))
    return Exit.PROBLEM if shown.failed else Exit.OK


class _Shown:
    """What was shown of sockets and refusals: each is shown once, and again only if it has changed."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._json, self._follow = args.json, args.follow
        self._indent = None if args.follow else 2
        self._begun, self._whole = False, len(_PARTS)
        self._inodes: set[int] = set()
        self._changed: set[int] = set()
        self.failed: set[int] = set()
        self._refused: set[int] = set()

    def show(self, looks: list[Look], refusals: dict[int, KeptaliveError]) -> None:
        """Show what is new in a look. As JSON the first one is shown even if there is nothing."""
        news, refused = self._news(looks), self._new_refusals(refusals)
        if self._json:
            if news or refused or not self._begun:
                print(json.dumps(_document(news, refused), indent=self._indent), flush=True)
                self._begun = True
            return
        if news:
            lines = list(map(_parts, news))
            if not self._begun:
                lines.insert(0, _HEADER)
                self._whole = _together(lines, room(sys.stdout))
            print("\n".join(_folded(line, self._whole) for line in lines), flush=True)
            self._begun = True
        for error in refused.values():
            complain(error, as_json=False)

    def follow(self) -> None:
        """Say what goes on while nothing is shown."""
        if not self._json:
            what = "shown as they come" if self._begun else "none so far; shown as they come"
            print(
                f"Following until the program ends: TCP sockets, {what}. Ctrl-C ends it; what was set stays.",
                file=sys.stderr,
                flush=True,
            )

    def end(self) -> None:
        """Show the sums."""
        if self._json:
            return
        count, changed, failed = len(self._inodes), len(self._changed), len(self.failed)
        if self._begun:
            print()
        sums = f"{changed} changed, {count - changed} left as they were"
        if not count and not self._follow:
            sums = "nothing to protect yet; --follow waits for it"
        print(f"{count} TCP socket{'s' * (count != 1)}: {sums}" + (f", {failed} failed" if failed else ""))

    def _news(self, looks: list[Look]) -> list[Look]:
        news = [look for look in looks if look.report.changed or look.inode not in self._inodes]
        self._inodes.update(look.inode for look in news)
        self._changed.update(look.inode for look in news if look.report.changed)
        self.failed.update(look.inode for look in news if look.report.problems)
        return news

    def _new_refusals(self, refusals: dict[int, KeptaliveError]) -> dict[int, KeptaliveError]:
        new = {pid: error for pid, error in refusals.items() if pid not in self._refused}
        self._refused |= new.keys()
        return new


def _document(looks: list[Look], refusals: dict[int, KeptaliveError]) -> dict[str, Any]:
    refused = [{"pid": pid, "error": sentence(e), "hint": e.hint} for pid, e in refusals.items()]
    return {"schema": SCHEMA, "sockets": [_row(look) for look in looks], "refused": refused}


def _together(lines: list[tuple[str, ...]], width: int | None) -> int:
    """Return how many parts of a line stand side by side: as many as fit."""
    if width is None:
        return len(_PARTS)
    fitting = (n for n in (3, 2) if all(len("  ".join(line[:n]).rstrip()) <= width for line in lines))
    return next(fitting, 1)


def _folded(parts: tuple[str, ...], whole: int) -> str:
    """Return a line whose first *whole* parts stand side by side, the others below them."""
    return "\n    ".join(["  ".join(parts[:whole]).rstrip(), *(part.rstrip() for part in parts[whole:])])


def _parts(look: Look) -> tuple[str, ...]:
    report = look.report
    now = "; ".join((_brief(report.after), *report.problems, *filter(None, [report.left_alone])))
    return (
        _PARTS[0].format(escape(processes.name(look.pid)), look.pid, look.descriptor),
        _PARTS[1].format(report.after.local or "-", report.after.remote or "-"),
        _PARTS[2].format(_brief(report.before), escape(now)),
    )


def _brief(state: SocketState) -> str:
    """Return a state as a policy is written."""
    if not state.enabled:
        return "off"
    timeout = "" if state.user_timeout is None else f":{state.user_timeout:g}"
    return f"{state.idle}:{state.interval}:{state.count}{timeout}"


def _row(look: Look) -> dict[str, Any]:
    report = look.report
    return {
        "pid": look.pid,
        "fd": look.descriptor,
        "local": report.after.local,
        "remote": report.after.remote,
        "before": _settings(report.before),
        "after": _settings(report.after),
        "error": "; ".join(report.problems) or None,
    }


def _settings(state: SocketState) -> dict[str, Any]:
    return {
        "keepalive": state.enabled,
        "idle": state.idle,
        "interval": state.interval,
        "count": state.count,
        "user_timeout": state.user_timeout,
    }
