"""The mark by which the members of a run are known, whoever their parent is by now.

Rule: it must not change what a program does, nor be lost on its way. So it is a limit that
limits nothing: the microseconds that a real-time program may run without a pause
(RLIMIT_RTTIME), 146,000 years of them and more. A process inherits its limits through fork,
exec, setsid and a cleared environment, and /proc shows them to everybody.

An environment variable would be lost by `env -i` and sudo, and to programs that write their
title over it (nginx, PostgreSQL); a session or a group is left by every daemon.
"""

from __future__ import annotations

import os
import resource

from keptalive.linux import processes

_LOWEST = 2**62
_NAME = "Max realtime timeout"  # as /proc/PID/limits calls it


def new() -> int:
    """Return a mark that no other run has."""
    return _LOWEST + int.from_bytes(os.urandom(7), "big")


def wear(mark: int) -> None:
    """Put the mark on this process and all that it will start, unless somebody uses the limit in earnest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    if soft == resource.RLIM_INFINITY or soft >= _LOWEST:
        try:
            resource.setrlimit(resource.RLIMIT_RTTIME, (mark, hard))
        except (OSError, ValueError):
            return  # a daemon is then known by its parents alone, if they live long enough


def worn_by(pid: int) -> int | None:
    """Return the mark of a process; None, or a lower number, if it has none."""
    return processes.soft_limit(pid, _NAME)
