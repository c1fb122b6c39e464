"""Run a command inside namespaces: join them, then become the command.

Rule: runs as a small process of its own between fork and exec, since the caller may have threads,
and a user namespace takes a process with one thread only. The process id stays the same.
"""

from __future__ import annotations

import os
import sys

from keptalive.linux import namespaces


def main(network: int, user: int | None, argv: list[str]) -> None:
    """Join the namespaces held open by the descriptors; become *argv*. Exit 127 if there is no such command."""
    if user is not None:
        namespaces.enter(user, namespaces.CLONE_NEWUSER)
    namespaces.enter(network, namespaces.CLONE_NEWNET)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        sys.exit(127)
