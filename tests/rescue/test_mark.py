"""The mark: worn for good, visible to everybody, in nobody's way."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from keptalive.rescue import mark

SHOW = "import os; from keptalive.rescue.mark import worn_by; print(worn_by(os.getpid()))"


def marked(*command: str, number: int) -> str:
    """Run a command that wears a mark; return what it prints."""
    return subprocess.run(
        command, preexec_fn=lambda: mark.wear(number), capture_output=True, text=True, check=True
    ).stdout


def test_it_is_inherited_whatever_a_program_does() -> None:
    """Through fork, exec, a new session and a cleared environment; and nothing is limited by it."""
    number = mark.new()
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}  # nothing else is left of the environment
    code = (
        f"import os, sys; os.setsid(); os.execve(sys.executable, [sys.executable, '-c', {SHOW!r}], {paths})"
    )

    assert marked(sys.executable, "-c", code, number=number) == f"{number}\n"
    assert number / 1e6 / 86400 / 365 > 100_000  # years


def test_another_mark_replaces_it() -> None:
    """A run inside a run has its own."""
    outer, inner = mark.new(), mark.new()
    code = f"from keptalive.rescue.mark import wear; wear({inner}); {SHOW}"

    assert outer != inner
    assert marked(sys.executable, "-c", code, number=outer) == f"{inner}\n"


def test_a_limit_that_somebody_means_stays() -> None:
    """A real-time program's own is not touched, and is no mark of ours."""

    def limit_first() -> None:
        resource.setrlimit(resource.RLIMIT_RTTIME, (200_000, 200_000))
        mark.wear(mark.new())

    done = subprocess.run(
        [sys.executable, "-c", SHOW], preexec_fn=limit_first, stdout=subprocess.PIPE, check=True
    )

    assert done.stdout == b"200000\n"


def test_a_process_that_does_not_exist_wears_none() -> None:
    """Nor does it raise."""
    assert mark.worn_by(2**22 + 1) is None  # above the highest number there can be (PID_MAX_LIMIT)
