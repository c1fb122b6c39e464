"""Why may I not? The reason for which the kernel will not let this user at another process.

Rule: EPERM has a dozen causes; each is looked for where it shows, and named with what
would help. Nothing is guessed: a cause that does not show is called unknown.
Sources: ptrace(2) "Ptrace access mode checking", Documentation/admin-guide/LSM/Yama.rst.
"""

from __future__ import annotations

import errno
import os

from keptalive.errors import KeptaliveError, NoSuchProcess, NotPermitted, NotSupported
from keptalive.linux import processes

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_AS_ROOT = "run it as root"
_OUTSIDE = "from outside of this container, as the host's root"


def refusal(pid: int, error: OSError | None = None) -> KeptaliveError:
    """Return the error to raise for *error* (EACCES if None), met when looking into process *pid*."""
    number = errno.EACCES if error is None or error.errno is None else error.errno
    if number in (errno.ESRCH, errno.ENOENT):
        return NoSuchProcess(errno.ESRCH, f"there is no process {pid}")
    if number == errno.ENOSYS:
        return NotSupported("this kernel cannot hand over a socket: pidfd_getfd needs Linux 5.6")
    why, help_ = cause(pid, fetching=number == errno.EPERM)
    return NotPermitted(number, f"may not reach the sockets of {_described(pid)}: {why}").with_hint(help_)


def _described(pid: int) -> str:
    name = processes.name(pid)
    return f"process {pid} ({name})" if name else f"process {pid}"


def cause(pid: int, *, fetching: bool) -> tuple[str, str]:
    """Return why process *pid* is out of reach, and what would help.

    *fetching*: its sockets could be listed, but not had.
    """
    if fetching and _getfd_is_filtered():
        return (
            "a seccomp filter forbids pidfd_getfd here, as Docker's default profile does",
            "from the host, or in a container started with --cap-add SYS_PTRACE; "
            "`keptalive run` protects Python programs here too",
        )
    other, me = processes.status(pid), processes.status(os.getpid())
    their_user, my_user = _uids(other), _uids(me)
    if their_user and my_user and set(their_user) != {my_user[1]}:
        whose = f"it belongs to user {_user_name(their_user[0])}"
        if os.geteuid() == 0:
            return f"{whose}, and this root lacks CAP_SYS_PTRACE", f"{_OUTSIDE}, or with --cap-add SYS_PTRACE"
        return whose, f"{_AS_ROOT}, or as that user"
    if _lacking(other, me):
        return "it holds capabilities that you lack", _AS_ROOT if os.geteuid() else _OUTSIDE
    if _owner_in_proc(pid) not in (None, my_user[1] if my_user else None):
        return (
            "it is not dumpable (it has changed its user, runs a file you may not read, "
            "or has asked for that: PR_SET_DUMPABLE)",
            _AS_ROOT,
        )
    scope = yama_scope()
    if fetching and scope:
        return (
            f"Yama forbids it (kernel.yama.ptrace_scope = {scope})",
            f"{_AS_ROOT}, start the program under `keptalive run`, or: sysctl kernel.yama.ptrace_scope=0"
            if scope < 3
            else "start the program under `keptalive run`; this setting cannot be changed before a reboot",
        )
    return "the kernel does not say why; a security module (SELinux, AppArmor) may forbid it", _AS_ROOT


def _getfd_is_filtered() -> bool:
    from keptalive.linux.pidfd import getfd_is_filtered  # its ctypes takes 6 ms; only trouble comes here

    return getfd_is_filtered()


def _uids(status: dict[str, str]) -> list[int]:
    """Return real, effective, saved and file system user of a process."""
    return [int(uid) for uid in status.get("Uid", "").split()]


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _lacking(other: dict[str, str], me: dict[str, str]) -> bool:
    """Tell whether *other* is permitted capabilities that are not in force for *me*."""
    return bool(int(other.get("CapPrm", "0"), 16) & ~int(me.get("CapEff", "0"), 16))


def _owner_in_proc(pid: int) -> int | None:
    """Return who owns the files in /proc/PID: the process's user, or root if it is not dumpable (proc(5))."""
    try:
        return os.stat(f"/proc/{pid}/status").st_uid  # noqa: PTH116
    except OSError:
        return None


def yama_scope() -> int:
    """Return kernel.yama.ptrace_scope: 0 lets users at their processes, 1 at descendants only, 3 nobody."""
    try:
        with open(_YAMA) as stream:  # noqa: PTH123
            return int(stream.read())
    except (OSError, ValueError):
        return 0  # a kernel without Yama
