"""Join the namespaces of a lab, keep the rights that this gives, and become a command.

    python enter.py NETWORK USER COMMAND ...    descriptors; USER is empty where root needed no user namespace

Rule: a script of its own, since a user namespace takes a process with one thread only. Whoever joins the
user namespace that it owns has every right in there, and loses it at exec unless it is made ambient
(capabilities(7)).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from keptalive.linux import namespaces

_CAPSET = {"x86_64": 126, "aarch64": 91}[os.uname().machine]
_VERSION_3 = 0x20080522  # linux/capability.h
_NET_ADMIN, _NET_RAW = 12, 13
_PR_CAP_AMBIENT, _RAISE = 47, 2


def keep_rights() -> None:
    """Make the rights over networks survive the exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    rights = 1 << _NET_ADMIN | 1 << _NET_RAW
    header = struct.pack("=Ii", _VERSION_3, 0)
    data = struct.pack(
        "=6I", rights, rights, rights, 0, 0, 0
    )  # effective, permitted, inheritable; high words
    for done in (
        libc.syscall(_CAPSET, header, data),
        *(libc.prctl(_PR_CAP_AMBIENT, _RAISE, right, 0, 0) for right in (_NET_ADMIN, _NET_RAW)),
    ):
        if done != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(network: str, user: str, *command: str) -> None:
    if user:
        namespaces.enter(int(user), namespaces.CLONE_NEWUSER)
    namespaces.enter(int(network), namespaces.CLONE_NEWNET)
    if user:
        keep_rights()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
