"""A process tree: who belongs to it, and that everybody is let go of in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keptalive.rescue import mark
from keptalive.rescue.tree import Tree

#: Starts a child, and a daemon whose parent ends at once; prints both; waits for its input to end.
FAMILY = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(writing, b"%d" % os.getpid())
    os.execv("/bin/sleep", ["sleep", "60"])
os.wait3(0)
print(child.pid, int(os.read(reading, 20)), flush=True)
sys.stdin.read()
"""


@contextmanager
def family(number: int | None) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """Yield a program, its child, and its daemon, which wear a mark or not."""
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: mark.wear(number) if number else None,
    ) as program:
        assert program.stdout is not None and program.stdin is not None
        child, daemon = map(int, program.stdout.readline().split())
        yield program, child, daemon
        for pid in (child, daemon):
            os.kill(pid, 9)
        program.stdin.close()


def test_children_belong_and_daemons_do_by_their_mark() -> None:
    """Without a mark a daemon that nobody saw in time is lost: the control."""
    number = mark.new()
    with family(number) as (program, child, daemon), family(None) as (bare, bare_child, bare_daemon):
        tree, lost = Tree([program.pid], number), Tree([bare.pid])
        new = {process.pid for process in tree.grow()}
        lost.grow()

        assert new == {child, daemon}
        assert tree.members.keys() == {program.pid, child, daemon}
        assert lost.members.keys() == {bare.pid, bare_child}
        assert bare_daemon not in lost.members
        assert tree.grow() == []
        tree.close()
        lost.close()


def test_members_stay_when_their_parents_end_and_go_when_they_end_themselves() -> None:
    """Also as long as nobody has reaped them."""
    with family(None) as (program, child, _):
        tree = Tree([program.pid])
        tree.grow()
        program.kill()
        ended = tree.wait(30)
        still = tree.grow()

        assert ([process.pid for process in ended], still) == ([program.pid], [])
        assert tree.members.keys() == {child}
        assert tree.wait(0) == []
        program.wait()
        tree.close()
        assert not tree.members


def test_it_is_not_a_member_of_its_own() -> None:
    """The process that follows belongs to no tree, even as a child of a member (in a container it may be)."""
    tree = Tree([os.getppid()])
    tree.grow()

    assert os.getpid() not in tree.members
    tree.close()


def test_a_process_that_is_not_there() -> None:
    """Raises, and lets go of the others."""
    with pytest.raises(ProcessLookupError):
        Tree([os.getpid(), 2**22 + 1])


def test_waiting_takes_no_longer_than_asked() -> None:
    """And an empty tree has nobody to wait for."""
    started = time.monotonic()
    Tree([]).wait(0.05)

    assert time.monotonic() - started < 30
