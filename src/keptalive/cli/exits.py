"""Exit codes, for scripts: the same for every verb. `run` returns its program's own."""

from __future__ import annotations

from enum import IntEnum

from keptalive import errors


class Exit(IntEnum):
    """What a verb's exit code means."""

    OK = 0  # done, nothing wrong
    PROBLEM = 1  # found a problem: unprotected, lost, forgotten
    USAGE = 2  # the command line, or what it names, makes no sense
    UNSUPPORTED = 3  # this system cannot
    FORBIDDEN = 4  # this user may not
    UNKNOWN = 5  # could not tell
    INTERRUPTED = 130  # Ctrl-C, as shells count it: 128 + SIGINT


_FOR_ERROR: tuple[tuple[type[errors.KeptaliveError], Exit], ...] = (
    (errors.PolicyError, Exit.USAGE),
    (errors.BadInput, Exit.USAGE),
    (errors.UnknownTarget, Exit.USAGE),
    (errors.NoSuchProcess, Exit.USAGE),
    (errors.NotSupported, Exit.UNSUPPORTED),
    (errors.NotPermitted, Exit.FORBIDDEN),
    (errors.KeptaliveError, Exit.UNKNOWN),
)


def exit_for(error: errors.KeptaliveError) -> Exit:
    """Return the exit code for an error of keptalive."""
    return next(code for cls, code in _FOR_ERROR if isinstance(error, cls))
