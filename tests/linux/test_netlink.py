"""Framing: golden bytes, a live kernel, and whatever else may lie in a datagram."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keptalive.errors import NoSuchProcess, NotSupported, SocketError
from keptalive.linux import netlink, sock_diag
from linux.golden import DONE, IPV4, LENGTH, SEQUENCE
from linux.holder import holding

BY_FAMILY = 20


def _message(kind: int, body: bytes, sequence: int = SEQUENCE, length: int | None = None) -> bytes:
    size = 16 + len(body) if length is None else length
    padding = bytes(-len(body) % 4)
    return netlink.HEADER.pack(size, kind, 2, sequence, 0) + body + padding


def test_golden_bytes_are_one_run_and_an_end() -> None:
    """A dump's equal messages come end to end, and its end by itself."""
    assert list(netlink.split(IPV4 + DONE, SEQUENCE)) == [
        (BY_FAMILY, LENGTH, IPV4),
        (netlink.NLMSG_DONE, len(DONE), DONE),
    ]


def test_messages_of_other_lengths_make_other_runs() -> None:
    """A run ends where a header differs, and goes on in order."""
    short, long = _message(BY_FAMILY, b"abcd"), _message(BY_FAMILY, b"abcdefgh")
    found = list(netlink.split(short * 2 + long + short, SEQUENCE))

    assert found == [(BY_FAMILY, 20, short * 2), (BY_FAMILY, 24, long), (BY_FAMILY, 20, short)]


def test_a_message_is_padded_to_four_bytes() -> None:
    """The next message starts at a multiple of four; the padding belongs to none."""
    odd, even = _message(BY_FAMILY, b"abcde"), _message(BY_FAMILY, b"abcd")
    found = list(netlink.split(odd + even, SEQUENCE))

    assert found == [(BY_FAMILY, 21, odd[:21]), (BY_FAMILY, 20, even)]


def test_answers_to_other_requests_are_skipped() -> None:
    """Only the sequence number asked for comes through, even in the midst of it."""
    foreign = _message(BY_FAMILY, b"abcd", sequence=SEQUENCE + 1)
    mine = _message(BY_FAMILY, b"abcd")

    assert list(netlink.split(mine + foreign + mine, SEQUENCE)) == [(BY_FAMILY, 20, mine)] * 2


@pytest.mark.parametrize("cut", [1, 15, 17, LENGTH - 1, LENGTH + 3, 2 * LENGTH - 1])
def test_a_truncated_datagram_is_an_error(cut: int) -> None:
    """Half a message is never taken for a whole one."""
    with pytest.raises(SocketError) as caught:
        list(netlink.split(IPV4[:cut], SEQUENCE))

    assert caught.value.errno == errno.EBADMSG


@given(st.binary(max_size=600))
@example(IPV4[:-1])
@example(_message(BY_FAMILY, b"", length=0))
@example(_message(BY_FAMILY, b"", length=15))
@example(_message(BY_FAMILY, b"", length=2**32 - 1))
def test_any_bytes_are_split_or_refused(data: bytes) -> None:
    """No bytes make it crash, hang or hand on more than was there."""
    try:
        runs = list(netlink.split(data, SEQUENCE))
    except SocketError as error:
        assert error.errno == errno.EBADMSG
    else:
        assert sum(len(messages) for _, _, messages in runs) <= len(data)
        assert all(len(messages) % length == 0 for _, length, messages in runs)


@given(
    st.lists(
        st.tuples(st.sampled_from([16, 20, 24, 124]), st.sampled_from([2, 3, 20]), st.booleans()), max_size=30
    )
)
def test_runs_are_what_a_walk_message_by_message_finds(messages: list[tuple[int, int, bool]]) -> None:
    """Taking many messages at once leaves out and adds nothing."""
    each = [_message(kind, bytes(size - 16), SEQUENCE + foreign) for size, kind, foreign in messages]
    expected = [
        (kind, message) for (_, kind, foreign), message in zip(messages, each, strict=True) if not foreign
    ]

    found = [
        (kind, run[start : start + length])
        for kind, length, run in netlink.split(b"".join(each), SEQUENCE)
        for start in range(0, len(run), length)
    ]

    assert found == expected


class Scripted:
    """Stands for a netlink socket that answers what it is told; {seq} is filled in."""

    def __init__(self, *datagrams: tuple[bytes, int]) -> None:
        self._datagrams = iter(datagrams)
        self._sequence = b""

    def send(self, request: bytes) -> None:
        self._sequence = request[8:12]

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        datagram, sender = next(self._datagrams)
        return datagram.replace(struct.pack("=I", SEQUENCE), self._sequence), (sender, 0)


def _dump(*datagrams: tuple[bytes, int]) -> Iterator[tuple[int, bytes]]:
    return netlink.dump(Scripted(*datagrams), BY_FAMILY, b"")  # type: ignore[arg-type]


def test_datagrams_of_other_processes_are_dropped() -> None:
    """Anybody may send to a netlink socket; port 0 is the kernel's alone."""
    forged = _message(BY_FAMILY, b"forged!!")
    found = list(_dump((forged, 4711), (IPV4, 0), (forged + DONE, 4711), (DONE, 0)))

    assert [length for length, _ in found] == [LENGTH]


def test_other_types_of_messages_are_skipped() -> None:
    """A no-op or an overrun in between ends nothing."""
    assert [run for _, run in _dump((_message(1, b"") + _message(4, b""), 0), (DONE, 0))] == []


def test_the_kernels_refusal_is_raised() -> None:
    """NLMSG_ERROR carries a negative errno."""
    with pytest.raises(SocketError) as caught:
        list(_dump((_message(netlink.NLMSG_ERROR, struct.pack("=i", -errno.ENOENT) + bytes(16)), 0)))

    assert caught.value.errno == errno.ENOENT


def test_a_dump_that_fails_in_the_end_is_an_error() -> None:
    """The end of a dump carries an errno too."""
    with pytest.raises(SocketError) as caught:
        list(_dump((_message(netlink.NLMSG_DONE, struct.pack("=i", -errno.ENOBUFS)), 0)))

    assert caught.value.errno == errno.ENOBUFS


@pytest.mark.parametrize("kind", [netlink.NLMSG_ERROR, netlink.NLMSG_DONE])
def test_an_end_without_its_number_is_an_error(kind: int) -> None:
    """A message too short for its errno is cut short, not a success."""
    with pytest.raises(SocketError) as caught:
        list(_dump((_message(kind, b""), 0)))

    assert caught.value.errno == errno.EBADMSG


def test_a_live_kernel_refuses_what_it_does_not_know() -> None:
    """The errno of a real refusal arrives."""
    with closing(netlink.open_socket()) as sock, pytest.raises(SocketError) as caught:
        list(netlink.dump(sock, BY_FAMILY, bytes([200, 6]) + bytes(54)))

    assert caught.value.errno in (errno.ENOENT, errno.EINVAL)


def test_no_netlink_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system says so in a sentence."""
    monkeypatch.setattr(netlink, "AF_NETLINK", 250)

    with pytest.raises(NotSupported, match="by netlink"):
        netlink.open_socket()


def test_the_namespace_of_another_process() -> None:
    """The socket sees the other namespace; this thread stays in its own."""
    before = Path("/proc/thread-self/ns/net").stat().st_ino
    with holding(1, "protected") as holder, closing(netlink.open_socket(holder.pid)) as sock:
        rows = [row for batch in sock_diag.tcp_sockets(sock) for row in batch]

    assert len(rows) == 2
    assert Path("/proc/thread-self/ns/net").stat().st_ino == before


def test_the_namespace_of_nobody() -> None:
    """A number that names no process is said to."""
    with pytest.raises(NoSuchProcess):
        netlink.open_socket(2**22 + 1)
