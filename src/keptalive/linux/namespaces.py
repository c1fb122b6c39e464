"""Network and user namespaces: leave the present one, enter another, see who lives in one.

Rule: namespaces here have no names. One lives as long as a process is in it or a descriptor
of it is open, so whatever way its users end, nothing is left behind (`ip netns` would leave a
file in /run/netns).

Python offers `os.unshare` and `os.setns` from 3.12 on; before, the C library is asked through
ctypes. Sources: namespaces(7), user_namespaces(7), setns(2), unshare(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

__all__ = [
    "CLONE_NEWNET",
    "CLONE_NEWUSER",
    "enter",
    "enter_user_namespace",
    "fresh_network",
    "inode",
    "kill_processes_in",
    "unshare",
]

CLONE_NEWUSER = 0x10000000  # include/uapi/linux/sched.h
CLONE_NEWNET = 0x40000000

_STUBBORN = 5.0  # s for a killed process to go: one that waits for a disk may take its time


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces of the kinds in *flags*.

    Raises OSError: EPERM where this is forbidden, ENOSPC where the limit is reached or zero
    (sysctl user.max_user_namespaces), EINVAL for CLONE_NEWUSER in a process with threads.
    """
    _call("unshare", flags)


def enter(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace that *descriptor* holds open.

    *kind* is CLONE_NEWUSER or CLONE_NEWNET. Raises OSError as setns(2) does.
    """
    _call("setns", descriptor, kind)


def enter_user_namespace() -> int:
    """Put this process, which must have one thread only, into a new user namespace; return its descriptor.

    The user and the group are mapped onto themselves: files keep their owner, and a program
    started later sees the uid it would see outside. Raises OSError as `unshare` does.
    """
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    # Without this denial the kernel takes no group map from an ordinary user (user_namespaces(7)).
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", "ascii")
    return os.open("/proc/thread-self/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def fresh_network() -> int:
    """Move the calling thread into a new, empty network namespace; return a descriptor of it.

    Raises OSError as `unshare` does.
    """
    unshare(CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def inode(descriptor: int) -> int:
    """Return the number that tells this namespace from every other one alive."""
    return os.fstat(descriptor).st_ino


def kill_processes_in(networks: Collection[int], spare: int = 0) -> None:
    """Kill every process, but this one and *spare*, whose network namespace is one of *networks* (inodes).

    Returns when none is left: what one has started while it was looked for is found the next time.
    """
    deadline = time.monotonic() + _STUBBORN
    while _killed_in(networks, spare) and time.monotonic() < deadline:
        time.sleep(0.005)


def _killed_in(networks: Collection[int], spare: int) -> int:
    """Kill what is there now; return how many there were."""
    found = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), spare):
            continue
        try:
            if Path(entry.path, "ns", "net").stat().st_ino in networks:
                os.kill(int(entry.name), signal.SIGKILL)
                found += 1
        except ProcessLookupError:
            found += 1  # ended meanwhile, and may have started another before
        except OSError:
            continue  # gone before it was looked at, or another user's: then it is not in a namespace of ours
    return found
