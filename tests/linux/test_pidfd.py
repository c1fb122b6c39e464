"""Sockets of other processes, under a second descriptor."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from keptalive.linux.pidfd import OtherProcess, getfd_is_filtered, wait_for_end
from linux.confined import confined
from linux.programs import NOBODY, program
from support import tcp_pair


def _numbers(said: str | None) -> list[int]:
    assert said is not None
    return [int(word) for word in said.split()]


def test_it_is_the_very_same_socket() -> None:
    """What is set here holds there; its inode is the same."""
    with program("hold") as running, OtherProcess(running.pid) as other:
        _, client, server, _ = _numbers(running.said)
        with other.fetch_stream(client) as first, other.fetch_stream(client) as second:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

            assert second.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert os.fstat(first.fileno()).st_ino == dict(other.sockets())[client]
        with other.fetch_stream(server) as unchanged:
            assert unchanged.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_a_default_timeout_here_makes_nothing_non_blocking_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """O_NONBLOCK is the other program's, too: Python must not set it for a timeout of ours."""
    with tcp_pair() as (client, _), OtherProcess(os.getpid()) as myself:
        socket.setdefaulttimeout(5)
        try:
            myself.fetch_stream(client.fileno()).close()
        finally:
            socket.setdefaulttimeout(None)

        assert os.get_blocking(client.fileno())


def test_only_streams_are_had() -> None:
    """Sockets of other types are None, not TCP by mistake."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        OtherProcess(os.getpid()) as myself,
    ):
        assert myself.fetch_stream(udp.fileno()) is None
        with myself.fetch_stream(unix.fileno()) as same:
            assert same.family == socket.AF_UNIX


def test_what_is_no_socket_or_closed() -> None:
    """Each has its errno, and nothing stays open."""
    reading, writing = os.pipe()
    with OtherProcess(os.getpid()) as myself:
        with pytest.raises(OSError, match=r"not a socket|non-socket") as caught:
            myself.fetch_stream(reading)
        assert caught.value.errno == errno.ENOTSOCK
        os.close(reading)
        os.close(writing)
        with pytest.raises(OSError, match="Bad file") as caught:
            myself.fetch_stream(reading)
        assert caught.value.errno == errno.EBADF


def test_streams_leaves_out_what_has_changed_meanwhile() -> None:
    """Closed, no socket any more, or another one under the same number."""
    with tcp_pair() as (client, server), OtherProcess(os.getpid()) as myself:
        inode = os.fstat(client.fileno()).st_ino
        wanted = [(client.fileno(), inode), (server.fileno(), inode), (0, inode), (10_000, inode)]

        assert [entry[:2] for entry in myself.streams(wanted)] == [(client.fileno(), inode)]


def test_a_process_whose_first_thread_has_ended() -> None:
    """Its sockets are had through a living thread (Linux 6.9)."""
    with program("first-thread-ends") as running, OtherProcess(running.pid) as other:
        numbers = _numbers(running.said)[:3]
        found = [descriptor for descriptor, _, _ in other.streams(other.sockets())]

        assert sorted(found) == sorted(numbers)
        assert wait_for_end([other], 0) == set()


def test_a_thread_stands_for_its_process() -> None:
    """The process of a thread is held."""
    with program("threads") as running:
        thread = max(int(name) for name in os.listdir(f"/proc/{running.pid}/task"))  # noqa: PTH208
        assert thread != running.pid
        with OtherProcess(thread) as other:
            assert other.pid == running.pid
            assert len(list(other.streams(other.sockets()))) == 3


def test_a_process_that_has_ended() -> None:
    """Its end is noticed, even while nobody has collected it, and fetching says ESRCH."""
    with program("hold") as running, OtherProcess(running.pid) as other:
        client = _numbers(running.said)[1]
        assert wait_for_end([other], 0) == set()
        running.kill()

        assert wait_for_end([other], 30) == {running.pid}
        with pytest.raises(ProcessLookupError):
            other.fetch(client)


def test_a_number_that_names_nobody() -> None:
    """ESRCH."""
    with pytest.raises(ProcessLookupError):
        OtherProcess(NOBODY)


def test_a_filter_is_told_from_a_refusal() -> None:
    """Where even one's own descriptors are refused, it is a filter."""
    assert not getfd_is_filtered()
    code = "forbid(438, 1)\nprint(keptalive.linux.pidfd.getfd_is_filtered())"

    assert confined(code) == "True\n"
