"""Who holds which socket, as /proc tells."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keptalive.linux import processes
from linux.programs import NOBODY, program
from support import require, tcp_pair


def _inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def test_this_process_holds_its_sockets() -> None:
    """Descriptor and inode, for sockets only."""
    with tcp_pair() as (client, server):
        found = processes.sockets(os.getpid())

        assert (client.fileno(), _inode(client)) in found
        assert (server.fileno(), _inode(server)) in found
        assert all(str(Path(f"/proc/self/fd/{fd}").readlink()) == f"socket:[{inode}]" for fd, inode in found)


def test_the_owner_is_found_among_all() -> None:
    """inode -> pid and descriptor."""
    with tcp_pair() as (client, _):
        holders, _ = processes.owners()

        assert holders[_inode(client)] == (os.getpid(), client.fileno())


def test_a_shared_socket_belongs_to_the_lowest_number() -> None:
    """To the server, rather than to the workers it has forked."""
    with tcp_pair() as (client, _), program("wait", inherit=[client]) as worker:
        holders, _ = processes.owners({os.getpid(), worker.pid})

        assert holders[_inode(client)][0] == min(os.getpid(), worker.pid)
        assert processes.owners({worker.pid})[0][_inode(client)][0] == worker.pid


def test_a_process_whose_first_thread_has_ended() -> None:
    """Its own descriptors are empty, or shut to all but root; those of a living thread are read."""
    with program("first-thread-ends", "hold") as running:
        if os.geteuid() == 0:
            assert list(Path(f"/proc/{running.pid}/fd").iterdir()) == []
        else:
            with pytest.raises(PermissionError):
                list(Path(f"/proc/{running.pid}/fd").iterdir())
        assert len(processes.sockets(running.pid)) == 3


def test_another_users_process_is_named_as_closed() -> None:
    """Not an error: the others are still found."""
    require(os.geteuid() == 0, "changing the user needs root")
    code = (
        "import os\n"
        "from keptalive.linux import processes\n"
        "os.setuid(65534)\n"
        f"holders, hidden = processes.owners({{{os.getpid()}, os.getpid()}})\n"
        f"assert hidden == [{os.getpid()}], hidden"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_who_is_gone_is_left_out() -> None:
    """A number that means nobody, any more or at all, is no error."""
    assert processes.owners({NOBODY}) == ({}, [])
    assert processes.name(NOBODY) == ""
    assert processes.parent(NOBODY) is None
    assert processes.status(NOBODY) == {}
    assert processes.threads(NOBODY) == []
    assert not processes.exists(NOBODY)
    with pytest.raises(FileNotFoundError):
        processes.sockets(NOBODY)


def test_descriptors_that_close_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the listing and the reading of a link anything may vanish."""
    with tcp_pair() as (client, server):
        _vanishing(monkeypatch, "readlink", str(client.fileno()))
        found = processes.sockets(os.getpid())

        assert client.fileno() not in [descriptor for descriptor, _ in found]
        assert server.fileno() in [descriptor for descriptor, _ in found]


def _vanishing(monkeypatch: pytest.MonkeyPatch, call: str, what: str) -> None:
    original: Callable[..., str] = getattr(os, call)

    def pretend(target: str, *arguments: object, **options: object) -> str:
        if target == what:
            raise FileNotFoundError(2, "gone", target)
        return original(target, *arguments, **options)

    monkeypatch.setattr(processes.os, call, pretend)


def test_processes_that_come_and_go_while_they_are_listed() -> None:
    """A machine that starts and ends programs all the time: no crash, and our own is found each time."""
    # A shell of its own starts them: between fork and exec a child of ours would hold our socket, too.
    churn = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"])
    try:
        with tcp_pair() as (client, _):
            for _ in range(5):
                holders, _ = processes.owners()
                family = set(processes.children([os.getpid()], processes.pids()))

                assert holders[_inode(client)][0] == os.getpid()
                assert os.getpid() not in family
    finally:
        churn.kill()
        churn.wait()


HOSTILE = b"\x1b[31m\xff) R 1 (\n"


def test_a_hostile_name_is_text_that_can_be_printed() -> None:
    """Any bytes a process calls itself become text that encodes, and mislead no parser."""
    with program("named", HOSTILE.decode("latin-1")) as running:
        assert processes.name(running.pid) == "\x1b[31m\\xff) R 1 (\n"
        assert processes.name(running.pid).encode()
        assert processes.parent(running.pid) == os.getpid()


def test_processes_by_name() -> None:
    """Whole names, patterns, and names longer than the kernel keeps them."""
    with program("named", "kept-test-name-x") as running:
        assert running.pid in processes.named("kept-test-name-x")
        assert running.pid in processes.named("kept-test-*")
        assert running.pid not in processes.named("kept-test")


def test_a_thread_stands_for_its_process() -> None:
    """Numbers of threads are as good as the process's."""
    with program("threads", "hold") as running:
        (thread,) = [one for one in processes.threads(running.pid) if one != running.pid]

        assert processes.process_of(thread) == running.pid
        assert processes.process_of(running.pid) == running.pid
        assert processes.exists(thread)


def test_children_and_theirs() -> None:
    """Each process started by one of those given, however far down."""
    with program("family") as running:
        assert running.said is not None
        child, grandchild = map(int, running.said.split())
        found = set(processes.children([running.pid], processes.pids()))

        assert found == {child, grandchild}
        os.kill(child, signal.SIGCONT)


def test_pids_are_all_there_are() -> None:
    """In order."""
    found = processes.pids()

    assert found == sorted(found)
    assert {1, os.getpid()} <= set(found)


@pytest.fixture
def thread() -> Iterator[int]:
    """A thread of this process that waits, whose name can be written."""
    done, told = threading.Event(), Queue[int]()

    def wait() -> None:
        told.put(threading.get_native_id())
        done.wait()

    waiting = threading.Thread(target=wait)
    waiting.start()
    yield told.get()
    done.set()
    waiting.join()


@given(st.binary(min_size=1, max_size=30) | st.text(alphabet=") (\n\x0bTgid:\t1\\", min_size=1, max_size=15))
@example(") S 1 1 1")
@example("\x0bTgid:\t1")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_misleads(thread: int, chosen: bytes | str) -> None:
    """Whatever a process calls itself: its parent, and the rest of its status, are the kernel's."""
    name = chosen.encode() if isinstance(chosen, str) else chosen
    honest = processes.status(thread)
    Path(f"/proc/self/task/{thread}/comm").write_bytes(name)
    kept = name[:15].partition(b"\0")[0].decode("utf-8", "backslashreplace")

    assert processes.name(thread) == kept
    assert processes.parent(thread) == os.getppid()
    assert processes.process_of(thread) == os.getpid()
    assert processes.status(thread)["Uid"] == honest["Uid"]
