"""What programs protected from inside tell the follower."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keptalive.rescue import injection, mark
from keptalive.rescue.announcements import Announcements, announce, executable

SAY = "import sys; from keptalive.rescue.announcements import announce; announce(chr(0) + sys.argv[1])"


def test_the_kernel_says_who_speaks() -> None:
    """A process announces its own number, with what it runs; many may speak before somebody listens."""
    address = injection.address(mark.new())
    ear = Announcements(address)
    announce(address)
    with subprocess.Popen([sys.executable, "-c", SAY, address[1:]]) as other:
        other.wait()

    assert list(ear.heard()) == [(os.getpid(), executable("self")), (other.pid, executable("self"))]
    assert list(ear.heard()) == []
    ear.close()


def test_who_says_nothing_is_passed_over() -> None:
    """It holds nobody up for long, nor keeps those behind it from being heard."""
    address = injection.address(mark.new())
    ear = Announcements(address)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.connect(address)
        announce(address)

        assert list(ear.heard()) == [(os.getpid(), executable("self"))]
    ear.close()


def test_nobody_listens() -> None:
    """That is an error, which costs no time."""
    with pytest.raises(ConnectionRefusedError):
        announce(injection.address(mark.new()))


def test_the_executable_of_another() -> None:
    """Empty if it cannot be seen."""
    assert executable(os.getpid()) == os.path.realpath(sys.executable)
    assert executable(2**22 + 1) == ""


@given(st.lists(st.binary(max_size=40), max_size=4))
@settings(deadline=None, max_examples=30)
def test_whatever_is_said(words: list[bytes]) -> None:
    """Any bytes are the name of an executable, from the process that the kernel names; silence is nothing."""
    address = injection.address(mark.new())
    ear = Announcements(address)
    for word in words:
        with socket.socket(socket.AF_UNIX) as speaker:
            speaker.connect(address)
            speaker.sendall(word)
    heard = list(ear.heard())
    ear.close()

    assert [pid for pid, _ in heard] == [os.getpid()] * len(words)
    assert [os.fsencode(said) for _, said in heard] == words
