"""Become another program, as a shell would have started it.

Rule: the program sees nothing of the Python that stood in this process before: not the signals that it
ignores, not what it put into the environment.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost 5 ms
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal  # signal itself makes enums of its numbers, which takes 2 ms

# Python ignores these from its start on (pylifecycle.c), and the program would inherit that. What
# they were before is not to be known; the default is what nearly everybody starts programs with.
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")

# What shells return, and what scripts test for: POSIX, "Exit Status for Commands".
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def become(command: list[str], environment: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by *command*, found and started as execvp(3) and every shell do it.

    Raises OSError: ENOENT if there is no such command, EACCES and others if it cannot be run.
    """
    for number in _IGNORED_BY_PYTHON:
        signal.signal(getattr(signal, number), signal.SIG_DFL)
    name, *arguments = command
    refused: OSError | None = None
    # os.execvp() is not like the C library's: it goes on to the next folder after a script without "#!".
    folders = [""] if "/" in name or not name else os.get_exec_path(environment)  # type: ignore[arg-type]
    for path in (os.path.join(folder, name) for folder in folders):  # noqa: PTH118
        try:
            os.execve(path, command, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            if os.access(path, os.F_OK):  # else it is the folder that is closed
                refused = error  # a later folder may have one that can be run
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            os.execve("/bin/sh", ["sh", path, *arguments], environment)
    raise refused or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def original_environment() -> dict[bytes, bytes]:
    """Return the environment as it came, without the LC_CTYPE that Python may have added (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as stream:  # noqa: PTH123  # pathlib takes 8 ms to import
            entries = stream.read().split(b"\0")
    except OSError:
        return dict(os.environb)
    pairs = (entry.partition(b"=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}


def exit_status(refusal: OSError) -> int:
    """Return what a shell returns for a command that cannot be run."""
    return _NOT_FOUND if refusal.errno in (errno.ENOENT, errno.ENOTDIR) else _NOT_EXECUTABLE
