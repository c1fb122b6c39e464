"""Turning the switch on and off: what it changes, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import keptalive
from keptalive import Policy
from support import clean_environment, tcp_pair
from test_sockets import kernel_holds

STRICT = Policy(20, 10, 3)


def everything() -> dict[str, Any]:
    """Return all that install() could change, as it is in the dicts of classes and modules."""
    owners: list[Any] = [socket.socket, socket, ssl.SSLSocket, ssl.SSLContext, ssl]
    for name, attributes in (
        ("uvloop", ["Loop", None]),
        ("pycurl", [None]),
        ("gevent._socket3", ["socket", None]),
        ("gevent.ssl", ["SSLContext", None]),
    ):
        with contextlib.suppress(ImportError):
            module = __import__(name, fromlist=["x"])
            owners += [getattr(module, attribute) if attribute else module for attribute in attributes]
    return {
        f"{owner!r}.{name}": value
        for owner in owners
        for name, value in vars(owner).items()
        if name != "__warningregistry__"
    }


def test_uninstall_puts_everything_back() -> None:
    """The very same objects; nothing new in a class's own dict, nothing left among the finders."""
    before, finders = everything(), list(sys.meta_path)
    keptalive.install(STRICT)
    changed = {name for name, value in everything().items() if before.get(name) is not value}
    keptalive.install()
    keptalive.uninstall()
    after = everything()

    assert changed
    assert {name for name, value in after.items() if before.get(name, after) is not value} == set()
    assert after.keys() == before.keys()
    assert sys.meta_path == finders


def test_uninstall_twice_or_alone_is_fine() -> None:
    """It does nothing when there is nothing to do."""
    keptalive.uninstall()
    keptalive.install()
    keptalive.uninstall()
    keptalive.uninstall()

    assert "connect" not in vars(socket.socket)


def test_installing_again_replaces_the_policy() -> None:
    """For connections to come, with no second layer of wrappers; those that are open keep theirs."""
    keptalive.install(STRICT)
    wrapper = vars(socket.socket)["connect"]
    with tcp_pair() as (first, _):
        keptalive.install(Policy(30, 10, 3))
        with tcp_pair() as (second, _):
            assert kernel_holds(second) == (True, 30, 10, 3)
        assert kernel_holds(first) == (True, 20, 10, 3)

    assert vars(socket.socket)["connect"] is wrapper


def test_installed_holds_for_the_block_and_then_what_held_before() -> None:
    """Nested, and when the block raises."""

    def idle() -> int | None:
        with tcp_pair() as (client, _):
            return keptalive.read(client).idle if kernel_holds(client)[0] else None

    assert idle() is None
    with keptalive.installed(Policy(40, 10, 3)) as report:
        assert report.policy == Policy(40, 10, 3)
        assert idle() == 40
        with pytest.raises(ZeroDivisionError), keptalive.installed(STRICT):
            assert idle() == 20
            raise ZeroDivisionError
        assert idle() == 40
    assert idle() is None
    assert "connect" not in vars(socket.socket)


def test_a_block_may_uninstall() -> None:
    """What held before the block holds after it all the same."""
    keptalive.install(STRICT)
    with keptalive.installed():
        keptalive.uninstall()
    with tcp_pair() as (client, _):
        assert kernel_holds(client) == (True, 20, 10, 3)


def test_off_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """KEPTALIVE_POLICY=off: nothing is touched, an explicit policy or not, and the report says so."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")
    report = keptalive.install(STRICT)

    assert "connect" not in vars(socket.socket)
    assert report.off == "KEPTALIVE_POLICY=off"
    assert report.covers == report.cannot == ()
    assert str(report) == "keptalive is off for this process: KEPTALIVE_POLICY=off"


def test_off_turns_off_what_was_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that sets it late and calls install() again gets what it asked for."""
    keptalive.install(STRICT)
    monkeypatch.setenv("KEPTALIVE_POLICY", "off")
    keptalive.install()

    assert "connect" not in vars(socket.socket)


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the default's manners: a better setting of the program's is left alone."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "60:30:4")
    report = keptalive.install()
    with tcp_pair() as (client, _):
        assert kernel_holds(client) == (True, 60, 30, 4)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        assert kernel_holds(client) == (True, 10, 30, 4)

    assert (report.policy, report.exact) == (Policy(60, 30, 4), False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": Policy(100_000, 15, 9)},
        {"networks": "localhost"},
        {"networks": []},
        {"ports": [0]},
        {"ports": []},
    ],
)
def test_what_cannot_be_is_refused_before_anything_changed(wrong: dict[str, Any]) -> None:
    """A ValueError at the call, and what held before holds on."""
    with keptalive.installed(STRICT):
        with pytest.raises(keptalive.PolicyError):
            keptalive.install(**wrong)
        with tcp_pair() as (client, _):
            assert kernel_holds(client) == (True, 20, 10, 3)


def test_a_wrapper_put_on_top_survives() -> None:
    """Another tool may have wrapped ours; uninstall() leaves its wrapper, ours below lets all through."""
    keptalive.install(STRICT)
    ours = socket.socket.connect
    calls = []

    def theirs(sock: socket.socket, address: Any) -> None:
        calls.append(address)
        ours(sock, address)

    socket.socket.connect = theirs  # type: ignore[method-assign]
    try:
        keptalive.uninstall()
        assert vars(socket.socket)["connect"] is theirs
        with tcp_pair() as (client, _):
            assert kernel_holds(client)[0] is False
        keptalive.install(STRICT)
        with tcp_pair() as (client, _):
            assert kernel_holds(client) == (True, 20, 10, 3)
        keptalive.uninstall()
        assert vars(socket.socket)["connect"] is theirs
    finally:
        del socket.socket.connect

    assert len(calls) == 2


@contextlib.contextmanager
def wrapped_by_another_tool() -> Iterator[Any]:
    def theirs(sock: socket.socket, address: Any) -> None:
        socket.SocketType.connect(sock, address)  # type: ignore[attr-defined]

    socket.socket.connect = theirs  # type: ignore[method-assign]
    try:
        yield theirs
    finally:
        del socket.socket.connect


def test_a_wrapper_below_comes_back() -> None:
    """What was in the class's dict before is there again, the same object."""
    with wrapped_by_another_tool() as theirs:
        keptalive.install(STRICT)
        with tcp_pair() as (client, _):
            assert kernel_holds(client) == (True, 20, 10, 3)
        keptalive.uninstall()

        assert vars(socket.socket)["connect"] is theirs


def test_a_library_that_looks_different_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of uvloop that nobody knows yet: a warning, a row in the report, and no harm."""
    strange = ModuleType("uvloop")
    monkeypatch.setitem(sys.modules, "uvloop", strange)
    with pytest.warns(keptalive.KeptaliveWarning, match="connections of uvloop are not protected"):
        report = keptalive.install()

    assert any("uvloop" in row.what for row in report.cannot)
    assert not any("uvloop" in row for row in report.covers)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_forks_are_covered_and_can_turn_it_off() -> None:
    """A child inherits the switch, and its lock is free even if a thread of the parent held it."""
    code = """
import os, socket, threading, time, keptalive
from keptalive.process_wide import switching
keptalive.install(keptalive.Policy(20, 10, 3))
held, done = threading.Event(), threading.Event()
def hold_the_lock():
    with switching._lock:
        held.set()
        done.wait()
threading.Thread(target=hold_the_lock).start()
held.wait()
pid = os.fork()
if not pid:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.connect(server.getsockname())
        covered = keptalive.read(sock).idle == 20
    keptalive.uninstall()
    os._exit(0 if covered and "connect" not in vars(socket.socket) else 1)
done.set()
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        timeout=60,
        check=False,
        env=clean_environment(),
    )

    assert done.returncode == 0


def test_quiet_where_warnings_are_errors() -> None:
    """`python -W error` imports the libraries afterwards, connects, and hears nothing."""
    code = """
import keptalive, socket
print(keptalive.install())
import asyncio, ssl, http.client
with socket.create_server(("127.0.0.1", 0)) as server:
    address = server.getsockname()
    async def main():
        _, writer = await asyncio.open_connection(*address)
        print(keptalive.read(writer.get_extra_info("socket")))
        writer.close()
        await writer.wait_closed()
    asyncio.run(main(), debug=True)
keptalive.uninstall()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment(),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "on, idle 45 s, interval 15 s, count 9" in done.stdout


def test_the_switch_is_for_the_process_not_the_thread() -> None:
    """Another thread's connections are covered as well."""
    seen = []

    def connect() -> None:
        with tcp_pair() as (client, _):
            seen.append(kernel_holds(client))

    with keptalive.installed(STRICT):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()

    assert seen == [(True, 20, 10, 3)]
