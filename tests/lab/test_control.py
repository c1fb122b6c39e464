"""Helpers: requests and replies, descriptors, and an end in every case."""

from __future__ import annotations

import os
import signal
import socket
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keptalive.errors import LabError
from keptalive.lab.control import Helper
from lab.scenario import PATIENCE

HELPER = """
import os
from keptalive.errors import LabError

def refuse(why):
    raise LabError(why)

def fail():
    raise FileNotFoundError(2, "no such thing", "this")

def turn(descriptors):
    return {"read": os.read(descriptors[0], 100).decode(), "descriptors": descriptors}

def limits():
    import resource, sys
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {"all": soft == hard, "isolated": sys.flags.isolated, "session": os.getsid(0) == os.getpid()}

def main(owner):
    owner.serve({"refuse": refuse, "fail": fail, "turn": turn, "limits": limits, "die": lambda: os._exit(3)})
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Helper]:
    """Start a helper that serves the functions above."""
    (tmp_path / "some_helper.py").write_text(HELPER)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    started = Helper("some_helper")
    yield started
    started.close()


def test_arguments_and_replies_pass(helper: Helper) -> None:
    """A helper has room for many sockets, nothing of the caller's set-up, and no part in its Ctrl-C."""
    assert helper.ask("limits") == {"all": True, "isolated": 1, "session": True}


def test_descriptors_go_there_and_come_back(helper: Helper) -> None:
    """They arrive closed on exec; the helper keeps none of those it hands over."""
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    reply = helper.ask("turn", [reading])
    (returned,) = reply["descriptors"]

    assert reply["read"] == "hello"
    assert os.path.sameopenfile(returned, reading)
    assert not os.get_inheritable(returned)
    for descriptor in (reading, returned):
        os.close(descriptor)
    helper.ask("limits")  # it closes what it handed over before it takes the next request
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"nobody reads")
    os.close(writing)


def test_errors_arrive_as_sentences(helper: Helper) -> None:
    """What the helper raises, the asker gets; the helper lives on."""
    with pytest.raises(LabError, match=r"^not today$"):
        helper.ask("refuse", why="not today")
    with pytest.raises(LabError, match="no such thing: 'this'"):
        helper.ask("fail")
    assert helper.ask("limits")


def test_a_helper_that_died_is_named(helper: Helper) -> None:
    """At the request that kills it, and at every later one."""
    for _ in range(2):
        with pytest.raises(LabError, match="the lab's some helper is gone: open a new lab"):
            helper.ask("die")


def test_a_helper_ends_with_its_owner_though_a_fork_holds_the_socket(tmp_path: Path) -> None:
    """The owner is killed; its child still has a copy of the control socket."""
    (tmp_path / "some_helper.py").write_text(HELPER)
    script = tmp_path / "owner.py"
    script.write_text(
        textwrap.dedent("""
            import os, signal, sys
            from keptalive.lab.control import Helper
            helper = Helper("some_helper")
            helper.ask("limits")
            if os.fork() == 0:
                os.close(1)
                signal.pause()
            print(helper.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """)
    )
    reading, writing = os.pipe()
    path = os.pathsep.join([str(tmp_path), *sys.path])
    argv = [sys.executable, str(script)]
    owner = os.posix_spawn(
        sys.executable,
        argv,
        {**os.environ, "PYTHONPATH": path},
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)],
        setpgroup=0,
    )
    os.close(writing)
    with os.fdopen(reading) as output:
        helper = os.pidfd_open(int(output.readline()))
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(owner, 0)[1]) == -signal.SIGKILL
        deadline = time.monotonic() + PATIENCE
        while _alive(helper) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _alive(helper)
    finally:
        os.close(helper)
        os.killpg(owner, signal.SIGKILL)  # the fork


def _alive(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    fields = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    pid = next(int(line.split()[1]) for line in fields.splitlines() if line.startswith("Pid:"))
    return pid > 0 and ") Z " not in Path(f"/proc/{pid}/stat").read_text()


def test_closing_twice_is_fine(helper: Helper) -> None:
    """The second time does nothing; asking afterwards is refused."""
    helper.close()
    helper.close()

    with pytest.raises(LabError, match="is gone"):
        helper.ask("limits")
    with socket.socket() as innocent:  # that got the number of the closed control socket
        assert innocent.fileno() >= 0
