"""Run a piece of code as somebody with fewer rights, and return what it prints.

All that may be needed is loaded while there are rights yet: an ordinary user may not be able
to read this Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

USER = 65534

_PRELUDE = """
import ctypes, dataclasses, json, locale, os, pwd, select, socket, struct, sys
import keptalive.cli.attach, keptalive.cli.exits, keptalive.cli.main, keptalive.cli.output, keptalive.cli.ps
import keptalive.connections, keptalive.linux.namespaces, keptalive.linux.pidfd, keptalive.linux.refusals
import keptalive.rescue.attach, keptalive.sockets, concurrent.futures, threading, encodings.idna
from linux.programs import become
from linux.confined import forbid
from keptalive.errors import KeptaliveError

def says(function, *arguments):
    try:
        print(function(*arguments))
    except KeptaliveError as error:
        print(type(error).__name__, error, error.hint, sep=" | ")

become(int(sys.argv[1])) if sys.argv[1] != "0" else None
"""


def confined(code: str, *, user: int = 0, before: Sequence[str] = ()) -> str:
    """Run *code* as *user*; *before* is a command that takes rights away."""
    done = subprocess.run(
        [*before, sys.executable, "-c", f"{_PRELUDE}\n{code}", str(user)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def forbid(call: int, error: int) -> None:
    """Make a system call fail with *error* in this process for good, as a container's seccomp filter does."""
    import ctypes
    import struct

    allow, refuse = 0x7FFF0000, 0x00050000 | error
    # ld nr; jeq call, 0, 1; ret ERRNO; ret ALLOW  (struct sock_filter: code, jt, jf, k)
    lines = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, refuse), (0x06, 0, 0, allow)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    filters = struct.pack("@HP", len(lines), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.create_string_buffer(filters), 0, 0) == 0  # PR_SET_SECCOMP, filter
