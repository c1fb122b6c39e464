"""Run a command inside namespaces: join them, then become the command.

Rule: runs as a small process of its own between fork and exec, since the caller may have threads,
and a user namespace takes a process with one thread only. The process id stays the same.
"""

from __future__ import annotations

import os
import sys

from keptalive.escaping import escape
from keptalive.linux import namespaces


def main(owner: int, network: int, user: int | None, argv: list[str]) -> None:
    """Join the namespaces that the descriptors hold open; become *argv*.

    Exits with 127, like a shell, if there is no such command.
    """
    if user is not None:
        namespaces.enter(user, namespaces.CLONE_NEWUSER)
    namespaces.enter(network, namespaces.CLONE_NEWNET)
    if os.getppid() != owner:
        # The lab's owner died meanwhile, and the holder may have swept already. Had it died later than
        # this check, the sweep would find this process inside.
        sys.exit(0)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"keptalive: cannot run {escape(argv[0])}: {error.strerror}\n")
        sys.exit(127)
