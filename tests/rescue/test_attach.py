"""attach(): options on another process's sockets, once each, without a burst of probes."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import socket
import time
from pathlib import Path

import pytest

from keptalive import platforms
from keptalive.errors import NoSuchProcess, NotSupported, PolicyError
from keptalive.policy import Policy
from keptalive.rescue.attach import attach, read_process
from keptalive.sockets import apply, read_socket
from linux.holder import IPPROTO_MPTCP, keepalive
from linux.programs import IN_A_NAMESPACE, NOBODY, Program, program
from support import require, tcp_pair

EAGER = Policy(idle=7, interval=3, count=4)


def _numbers(running: Program) -> list[int]:
    """Return listener, client and server of a program that holds them."""
    assert running.said is not None
    return [int(word) for word in running.said.split()][:3]


def test_every_tcp_socket_of_a_process() -> None:
    """Before, after, and where; listening ones too."""
    with program("hold", "60") as running:
        listener, client, server = _numbers(running)
        report = attach(running.pid, EAGER)
        now = read_process(running.pid)

    by_descriptor = {look.descriptor: look.report for look in report.sockets}
    assert by_descriptor.keys() == {listener, client, server}
    assert [by_descriptor[fd].before.enabled for fd in (listener, client, server)] == [False, True, False]
    assert by_descriptor[client].before.idle == 60
    assert by_descriptor[client].after.remote == by_descriptor[server].after.local
    assert by_descriptor[listener].after.remote is None
    after = [one.after for one in by_descriptor.values()]
    assert {(one.enabled, one.idle, one.interval, one.count) for one in after} == {(True, 7, 3, 4)}
    assert now.keys() == by_descriptor.keys()
    assert {(one.enabled, one.idle) for one in now.values()} == {(True, 7)}
    assert report.ok
    assert report.pid == running.pid
    assert "idle 60 s" in str(report)


def test_the_default_policy_leaves_better_ones_alone() -> None:
    """Keepalive on with idle and interval no longer; two hours are not better."""
    with tcp_pair() as (mine, bare), tcp_pair() as (lazy, _):
        for sock, idle, interval in ((mine, 30, 10), (lazy, 7200, 10)):
            keepalive(sock, idle)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        with program("wait", inherit=[mine, bare, lazy]) as running:
            report = attach(running.pid)

        by_inode = {look.inode: look.report for look in report.sockets}
        left = by_inode[os.fstat(mine.fileno()).st_ino]
        assert left.left_alone
        assert (left.after.idle, left.changed) == (30, False)
        assert read_socket(bare).idle == Policy().idle
        assert read_socket(lazy).idle == Policy().idle
        assert report.ok


def test_a_shared_socket_has_its_turn_once() -> None:
    """However many descriptors it has; and who else holds it is protected with it."""
    with tcp_pair() as (client, _):
        again = client.dup()
        with again, program("wait", inherit=[client, again]) as running:
            report = attach(running.pid, EAGER)

        assert [look.inode for look in report.sockets].count(os.fstat(client.fileno()).st_ino) == 1
        assert read_socket(client).idle == 7


def test_what_a_listening_socket_accepts_inherits() -> None:
    """So the server's side of a program is covered for good."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with program("wait", inherit=[listener]) as running:
            attach(running.pid, EAGER)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert read_socket(accepted).idle == 7
                assert read_socket(accepted).enabled


def test_another_network_namespace() -> None:
    """No matter: descriptors know no namespaces."""
    require(os.geteuid() == 0, "a network namespace needs root")
    with program("hold", before=IN_A_NAMESPACE) as running:
        assert Path(f"/proc/{running.pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino
        assert len(attach(running.pid, EAGER).sockets) == 3


def test_a_process_whose_first_thread_has_ended() -> None:
    """Its sockets are had through another one."""
    with program("first-thread-ends") as running:
        assert len(attach(running.pid, EAGER).sockets) == 3


def test_other_sockets_are_none_of_its_business() -> None:
    """Unix and UDP sockets, and pipes, are passed over."""
    one, other = socket.socketpair()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with one, other, udp, program("wait", inherit=[one, udp]) as running:
        report = attach(running.pid)

        assert report.sockets == ()
        assert str(report) == f"process {running.pid} has no TCP sockets"
        assert read_process(running.pid) == {}


def _segments_sent(sock: socket.socket) -> int:
    info = read_socket(sock).tcp_info
    assert info is not None
    assert info.segs_out is not None
    return info.segs_out


def test_no_burst_of_probes() -> None:
    """Idle first, SO_KEEPALIVE last: the time starts anew. The other way round a probe leaves at once."""
    policy = Policy(idle=1, interval=1, count=9)
    with (
        tcp_pair() as (attached, _),
        tcp_pair() as (wrong, _),
        program("wait", inherit=[attached]) as running,
    ):
        time.sleep(1.5)  # silent for longer than idle: a probe would be due
        before = _segments_sent(attached), _segments_sent(wrong)
        attach(running.pid, policy)
        sent = _segments_sent(attached)
        wrong.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wrong.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        deadline = time.monotonic() + 10
        while _segments_sent(wrong) == before[1] and time.monotonic() < deadline:
            time.sleep(0.01)

        assert sent == before[0]
        assert _segments_sent(wrong) > before[1]


def test_traffic_is_no_change() -> None:
    """Attaching again changes nothing, whatever the connection did in between."""
    with tcp_pair() as (client, server):
        apply(client, EAGER)
        server.sendall(b"x")
        client.recv(1)
        time.sleep(0.02)

        assert not apply(client, EAGER).changed


def test_what_a_socket_does_not_take_is_named() -> None:
    """MPTCP has no user timeout; the rest is set."""
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
        except OSError as error:
            require(False, f"MPTCP: {error}")
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        running = stack.enter_context(program("wait", inherit=[listener]))
        report = attach(running.pid, Policy(60, 15, 9, user_timeout=30))

    (look,) = report.sockets
    assert not report.ok
    assert "user_timeout: the kernel refused 30" in look.report.problems[0]
    assert (look.report.after.enabled, look.report.after.idle) == (True, 60)


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """KEPTALIVE_POLICY=off holds here too."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")
    with program("hold") as running:
        assert {look.report.left_alone for look in attach(running.pid, EAGER).sockets} == {
            "KEPTALIVE_POLICY=off"
        }
        assert {state.enabled for state in read_process(running.pid).values()} == {False}


def test_nobody() -> None:
    """A number that names no process."""
    for function in (attach, read_process):
        with pytest.raises(NoSuchProcess, match=str(NOBODY)) as caught:
            function(NOBODY)
        assert caught.value.errno == errno.ESRCH


def test_a_policy_that_cannot_be_is_said_first() -> None:
    """Before anything is looked at, let alone changed."""
    with pytest.raises(PolicyError):
        attach(NOBODY, Policy(idle=40_000))


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so in a sentence."""
    elsewhere = dataclasses.replace(platforms.current(), name="macOS")
    monkeypatch.setattr(platforms, "current", lambda: elsewhere)

    for function in (attach, read_process):
        with pytest.raises(NotSupported, match="macOS does not hand"):
            function(os.getpid())
