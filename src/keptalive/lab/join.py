"""Run a command inside namespaces: join them, then become the command.

Rule: runs as a small process of its own between fork and exec, since the caller may have threads,
and a user namespace takes a process with one thread only. The process id stays the same.
"""

from __future__ import annotations

import os
import select
import sys

from keptalive.escaping import escape
from keptalive.linux import becoming, namespaces


def main(unswept: int, network: int, user: int | None, argv: list[str]) -> None:
    """Join the namespaces that the descriptors hold open; become *argv*, which inherits none of these.

    *unswept* is a pipe whose other end closes when the holder begins to end all that lives in the namespaces.
    Exits with 127 or 126, like a shell, if there is no such command or it cannot be run.
    """
    environment = becoming.original_environment()  # not to be read any more in a user namespace
    for descriptor in (unswept, network, *(() if user is None else (user,))):
        os.set_inheritable(descriptor, False)
    if user is not None:
        namespaces.enter(user, namespaces.CLONE_NEWUSER)
    namespaces.enter(network, namespaces.CLONE_NEWNET)
    sweep = select.poll()
    sweep.register(unswept, select.POLLIN)  # POLLHUP comes unasked
    if sweep.poll(0):
        # The lab's owner died meanwhile, and the sweep may have missed this process. Had it begun later than
        # this, it would find it inside. (To see whether the owner is still the parent would not do: its
        # descriptors close, and the holder sweeps, before its children are given away.)
        sys.exit(0)
    try:
        becoming.become(argv, environment)
    except OSError as error:
        sys.stderr.write(f"keptalive: cannot run {escape(argv[0])}: {error.strerror}\n")
        sys.exit(becoming.exit_status(error))
