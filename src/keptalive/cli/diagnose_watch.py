"""The live view of `keptalive diagnose`: both arms, their timers, how long they have been waiting.

Rule: shows what an experiment under way says about itself: a table that changes where stdout is a terminal
and rich is installed, a line on stderr else, one every half a minute where that is no terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from keptalive.cli.output import escape, table
from keptalive.diagnosis.arms import RunningArm
from keptalive.diagnosis.experiment import Experiment

Show = Callable[[Experiment], None]

_SHOW_EVERY = 30.0  # s between lines where no terminal overwrites them


@contextmanager
def watch(*, quiet: bool) -> Iterator[Show | None]:
    """Yield what shows an experiment; *quiet*: only a person at a terminal is shown anything."""
    if not sys.stderr.isatty():
        yield None if quiet else _lines()
        return
    if sys.stdout.isatty() and not quiet:
        try:
            from rich.live import Live
            from rich.text import Text
        except ImportError:
            pass  # a line serves as well
        else:
            with Live(transient=True, refresh_per_second=8) as live:
                yield lambda experiment: live.update(Text(as_table(experiment)))
            return
    try:
        yield lambda experiment: print(f"\r\x1b[K{as_line(experiment)}", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _lines() -> Show:
    last = 0.0

    def show(experiment: Experiment) -> None:
        nonlocal last
        if experiment.now - last >= _SHOW_EVERY:
            last = experiment.now
            print(as_line(experiment), file=sys.stderr, flush=True)

    return show


def as_line(experiment: Experiment) -> str:
    """Return it in one line."""
    arms = "; ".join(f"{_name(arm)} {_state(arm)}" for arm in _plain_first(experiment))
    return f"{experiment.now:4.0f} s  {escape(arms)}{_measured(experiment)}"


def as_table(experiment: Experiment) -> str:
    """Return it as a table."""
    rows = [(_name(arm), _timer(arm), _last(arm), _state(arm)) for arm in _plain_first(experiment)]
    text = table(("request", "keepalive", "last packet from the other end", "state"), rows)
    return f"{text}\n\n{experiment.now:5.1f} s{_measured(experiment)}"


def _plain_first(experiment: Experiment) -> list[RunningArm]:
    return experiment.arms[::-1]


def _name(arm: RunningArm) -> str:
    return "held" if arm.held else "plain"


def _state(arm: RunningArm) -> str:
    if arm.connected_at is None:
        return "connecting" if arm.error is None else f"no connection ({arm.error})"
    if arm.ended and arm.ended_at is not None:
        status = "" if arm.outcome != "answered" else f" {arm.response.status}"
        return f"{arm.outcome}{status} after {arm.ended_at - (arm.sent_at or 0.0):.1f} s"
    if arm.dead:
        return "dead: lost on the way"
    return "sending" if arm.sent_at is None else "waiting"


def _timer(arm: RunningArm) -> str:
    sample = arm.recorder.latest
    if arm.timers is None:
        return "off"
    if sample is None or not arm.waiting:
        return str(arm.timers)
    if sample.probes:
        return f"{arm.timers}, {sample.probes} unanswered"
    return f"{arm.timers}, next probe in {max(0.0, arm.timers.period - sample.since_ack):.1f} s"


def _last(arm: RunningArm) -> str:
    sample = arm.recorder.latest
    return "" if sample is None or not arm.waiting else f"{sample.since_ack:.1f} s ago"


def _measured(experiment: Experiment) -> str:
    result = None if experiment.meanwhile is None else experiment.meanwhile.result()
    if result is None or result.alive_at is None:
        return ""
    dead = "" if result.dead_at is None else f", dead after {result.dead_at:.1f} s"
    return f"   idle connections: alive after {result.alive_at:.1f} s{dead}"
