"""Processes as /proc shows them: who holds which socket, who started whom.

Rule: a process may vanish, or shut its doors, between any two reads; then it is left
out. Its name is its own choice, so it is decoded to text that can always be printed and
encoded, but control characters are still in it: `cli.output.escape` is for those.
"""

# pathlib would take 8 ms of every `keptalive ps` to import, and twice the time to list.
# ruff: noqa: PTH110, PTH116, PTH123, PTH208

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Iterator

Socket = tuple[int, int]  # descriptor, inode


def pids() -> list[int]:
    """Return all processes of this PID namespace, oldest number first."""
    return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdecimal())


def sockets(pid: int) -> list[Socket]:
    """Return the open sockets of a process as (descriptor, inode); of any kind, not TCP alone.

    A process whose first thread has ended but others live shows nothing at its own
    descriptors, or even shuts them to its own user: then those of its threads are read.
    Raises OSError: EACCES where this user may not look, ENOENT or ESRCH if there is no
    such process.
    """
    shut: PermissionError | None = None
    try:
        found, descriptors = _sockets_in(f"/proc/{pid}/fd")
    except PermissionError as error:
        if not _first_thread_has_ended(pid):
            raise
        shut, descriptors = error, False
    if descriptors:
        return found
    for thread in threads(pid):
        try:
            found, descriptors = _sockets_in(f"/proc/{pid}/task/{thread}/fd")
        except OSError:
            continue  # this thread has just ended, or is the first
        if descriptors:
            return found
        shut = None
    if shut is not None:
        raise shut
    return []


def _first_thread_has_ended(pid: int) -> bool:
    return _text(pid, "stat").rpartition(")")[2].split()[:1] == ["Z"]


def threads(pid: int) -> list[int]:
    """Return the threads of a process, [] if it is gone."""
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")))
    except OSError:
        return []


def exists(pid: int) -> bool:
    """Tell whether there is such a process, or thread."""
    return os.path.exists(f"/proc/{pid}")


def process_of(thread: int) -> int:
    """Return the process that a thread belongs to; a process belongs to itself, and so does what is gone."""
    return int(status(thread).get("Tgid", thread))


def network_namespace(pid: int) -> str:
    """Return the path of the network namespace of a process: of a living thread, if its first one has ended.

    Raises OSError: EACCES where this user may not look, ESRCH if there is no such process.
    """
    shut: OSError = ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    for folder in (f"/proc/{pid}", *(f"/proc/{pid}/task/{thread}" for thread in threads(pid))):
        try:
            os.stat(f"{folder}/ns/net")
        except FileNotFoundError:
            continue
        except PermissionError as error:
            shut = error  # of an ended first thread: its own user may look at the others
            continue
        return f"{folder}/ns/net"
    raise shut


def name(pid: int) -> str:
    """Return the name of a process (15 bytes at most, comm in proc(5)), "" if it is gone."""
    return _text(pid, "comm").removesuffix("\n")


def parent(pid: int) -> int | None:
    """Return the parent of a process, None if it is gone."""
    # The name stands in parentheses and may hold some itself: the last one ends it. State and parent follow.
    fields = _text(pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else None


def status(pid: int) -> dict[str, str]:
    """Return /proc/PID/status, {} if the process is gone."""
    lines = (line.partition(":") for line in _text(pid, "status").splitlines())
    return {key: value.strip() for key, _, value in lines}


def soft_limit(pid: int, resource: str) -> int | None:
    """Return a limit of a process, named as in /proc/PID/limits; None if unlimited or it is gone."""
    for line in _text(pid, "limits").splitlines():
        if line.startswith(resource):
            value = line.removeprefix(resource).split()[0]
            return int(value) if value.isdecimal() else None
    return None


def owners(wanted: Collection[int] | None = None) -> tuple[dict[int, tuple[int, int]], list[int]]:
    """Return inode -> (pid, descriptor) for the open sockets of all processes, and who would not tell.

    A shared socket belongs to the lowest PID that holds it: a server, rather than the
    workers it has forked. *wanted* restricts the search to these processes.
    """
    found: dict[int, tuple[int, int]] = {}
    closed = []
    for pid in sorted(wanted, reverse=True) if wanted is not None else reversed(pids()):
        try:
            for descriptor, inode in sockets(pid):
                found[inode] = pid, descriptor
        except PermissionError:
            closed.append(pid)
        except OSError:
            continue  # it has just ended
    return found, closed


def named(pattern: str) -> list[int]:
    """Return the processes of this name, which may hold the shell's * and ?."""
    from fnmatch import fnmatchcase

    # The kernel keeps 15 bytes of a name; somebody who asks for a longer one means it.
    shortened = pattern.encode()[:15].decode(errors="ignore")
    return [pid for pid in pids() if fnmatchcase(name(pid), shortened)]


def children(of: Collection[int], among: Iterable[int]) -> Iterator[int]:
    """Yield those of the processes *among* that one of *of* has started, directly or not."""
    family = set(of)
    orphans = {pid: parent(pid) for pid in among}
    grown = True
    while grown:
        grown = False
        for pid, its_parent in list(orphans.items()):
            if its_parent in family and pid not in family:
                family.add(pid)
                del orphans[pid]
                grown = True
                yield pid


def _sockets_in(folder: str) -> tuple[list[Socket], bool]:
    """Return the sockets in a folder of descriptors, and whether it had any descriptor at all."""
    found = []
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptors = os.listdir(handle)
        for descriptor in descriptors:
            try:
                target = os.readlink(descriptor, dir_fd=handle)
            except FileNotFoundError:
                continue  # closed meanwhile
            if target.startswith("socket:["):
                found.append((int(descriptor), int(target[8:-1])))
    finally:
        os.close(handle)
    return found, bool(descriptors)


def _text(pid: int, file: str) -> str:
    try:
        with open(f"/proc/{pid}/{file}", "rb") as stream:
            return stream.read().decode("utf-8", "backslashreplace")
    except OSError:
        return ""
