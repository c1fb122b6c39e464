"""Namespaces, in child processes, so that the tests stay where they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keptalive.linux import namespaces
from support import missing


def run(code: str, **options: object) -> list[str]:
    """Run *code* in a child with one thread; return the words it prints."""
    done = subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-c", "import os\nfrom keptalive.linux import namespaces\n" + code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    if "PermissionError" in done.stderr or "Errno 28" in done.stderr:
        missing(f"namespaces are refused here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    words: list[str] = done.stdout.split()
    return words


@pytest.mark.lab
def test_a_user_namespace_keeps_who_one_is_and_gives_the_right_to_a_network() -> None:
    """The user and the group are mapped onto themselves; network namespaces may be made and entered."""
    code = """
before = os.geteuid(), os.getegid()
user = namespaces.enter_user_namespace()
one, other = namespaces.fresh_network(), namespaces.fresh_network()
assert namespaces.inode(one) != namespaces.inode(other) == os.stat("/proc/self/ns/net").st_ino
namespaces.enter(one, namespaces.CLONE_NEWNET)
assert namespaces.inode(one) == os.stat("/proc/self/ns/net").st_ino
assert not os.get_inheritable(user) and not os.get_inheritable(one)
assert (os.geteuid(), os.getegid()) == before
print(*sorted(os.listdir("/sys/class/net")) and ["fine"])
"""
    assert run(code) == ["fine"]


@pytest.mark.lab
def test_errors_carry_the_kernels_number() -> None:
    """A process with threads may not change its user namespace: EINVAL."""
    code = """
import threading
release = threading.Event()
thread = threading.Thread(target=release.wait)
thread.start()
try:
    namespaces.enter_user_namespace()
except OSError as error:
    print(error.errno)
release.set()
"""
    assert run(code) == ["22"]


@pytest.mark.lab
def test_all_who_live_in_a_network_are_killed_and_nobody_else() -> None:
    """But the one who kills, and the one to spare."""
    code = """
import signal, subprocess
namespaces.enter_user_namespace() if os.geteuid() else None
outside = subprocess.Popen(["sleep", "60"])
network = namespaces.fresh_network()
inside = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
namespaces.kill_processes_in({namespaces.inode(network)}, inside[2].pid)
print(*(process.wait() for process in inside[:2]), outside.poll(), inside[2].poll())
outside.kill(), inside[2].kill(), outside.wait(), inside[2].wait()
"""
    assert run(code) == [str(-signal.SIGKILL)] * 2 + ["None", "None"]


def test_a_namespace_is_told_by_its_number() -> None:
    """The number that /proc shows."""
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    number = namespaces.inode(descriptor)
    os.close(descriptor)

    assert str(Path("/proc/self/ns/net").readlink()) == f"net:[{number}]"
