"""A real connection over loopback: asked, looked at, ended by either side."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from keptalive import platforms
from keptalive.errors import NotSupported
from keptalive.probing import wire as module
from keptalive.probing.wire import TcpWire
from support import require

PATIENCE = 10.0


@pytest.fixture(autouse=True)
def _on_linux() -> None:
    require(platforms.current().tcp_info, "TCP_INFO is Linux's")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it does not come"
        await asyncio.sleep(0.005)


def connected(test: Callable[[TcpWire, socket.socket, list[str]], Awaitable[None]]) -> None:
    """Run a test on a wire, its other end, and a list that grows whenever something arrives."""

    async def run() -> None:
        news: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            wire = TcpWire(socket.AF_INET, listener.getsockname(), changed=lambda: news.append("news"))
            await wire.connect()
            other, _ = listener.accept()
            with other:
                try:
                    await test(wire, other, news)
                finally:
                    wire.close()

    asyncio.run(run())


def test_a_probe_is_answered_and_disturbs_nothing() -> None:
    """The kernel of the other end answers, and its program sees nothing."""

    async def test(wire: TcpWire, other: socket.socket, news: list[str]) -> None:
        await asyncio.sleep(1.05)
        before = wire.look()
        asked = asyncio.get_running_loop().time()
        wire.probe()
        await until(lambda: wire.look().segments > before.segments)
        wire.hush()
        after = wire.look()

        assert before.answered[1] < asked - 0.9
        assert after.answered[1] >= asked
        assert after.answered[0] <= asyncio.get_running_loop().time()
        assert after.acknowledged == before.acknowledged
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(1)
        assert news == []
        await asyncio.sleep(1.2)  # the kernel's next probe would be due after a second
        assert wire.look().segments == after.segments

    connected(test)


def test_without_a_probe_nothing_arrives() -> None:
    """The control: an idle connection is idle, although keepalive is armed."""

    async def test(wire: TcpWire, other: socket.socket, news: list[str]) -> None:
        before = wire.look().segments
        await asyncio.sleep(1.5)
        assert wire.look().segments == before

    connected(test)


def test_the_handshake_is_when_it_was_connected() -> None:
    """However late the program gets to it."""

    async def test(wire: TcpWire, other: socket.socket, news: list[str]) -> None:
        now = asyncio.get_running_loop().time()
        assert now - 1 < wire.connected <= now + 0.005

    connected(test)


def test_data_is_heard_and_acknowledged() -> None:
    """Both ways."""

    async def test(wire: TcpWire, other: socket.socket, news: list[str]) -> None:
        before = wire.look().acknowledged
        wire.say(b"\r\n")
        await until(lambda: wire.look().acknowledged == before + 2)
        assert wire.heard is None
        other.sendall(b"hello")
        await until(lambda: wire.heard is not None)
        assert news == ["news"]
        assert wire.end is None

    connected(test)


@pytest.mark.parametrize("kind", ["fin", "reset"])
def test_how_the_other_side_ended_it(kind: str) -> None:
    """A FIN and an RST are told apart, at the moment they come."""

    async def test(wire: TcpWire, other: socket.socket, news: list[str]) -> None:
        if kind == "reset":
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        now = asyncio.get_running_loop().time()
        other.close()
        await until(lambda: wire.end is not None)
        assert wire.end is not None
        assert wire.end.kind == kind
        assert wire.end.at >= now
        assert news

    connected(test)


def test_closing_leaves_nothing_at_the_server() -> None:
    """It is an RST: no FIN-WAIT here, no CLOSE-WAIT there."""

    async def test(wire: TcpWire, other: socket.socket, news: list[str]) -> None:
        wire.close()
        wire.close()
        other.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            other.recv(1)

    connected(test)


def test_a_burial_ends_in_an_rst_as_well() -> None:
    """Where the first RST arrives, the second connection, from the same port, is reset too."""

    async def bury_one(listener: socket.socket) -> bool:
        wire = TcpWire(socket.AF_INET, listener.getsockname(), changed=lambda: None)
        await wire.connect()
        first, port = listener.accept()
        with first:
            await wire.bury()
            try:
                second, again = listener.accept()
            except TimeoutError:
                return False  # another program's connection shares the port: it cannot be bound once more
            with second:
                assert port == again
                for other in (first, second):
                    other.settimeout(PATIENCE)
                    with pytest.raises(ConnectionResetError):
                        other.recv(1)
        return True

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.5)
            buried = tried = 0
            while buried < 3 and tried < 40:  # on a busy machine many ports are shared
                buried += await bury_one(listener)
                tried += 1
        assert buried == 3

    asyncio.run(run())


def test_a_burial_waits_for_a_copy_of_the_connection_to_be_closed() -> None:
    """A thread that starts a program has one for a moment; without waiting, the port would be taken."""

    async def bury_one(listener: socket.socket, copied_for: float) -> bool:
        wire = TcpWire(socket.AF_INET, listener.getsockname(), changed=lambda: None)
        await wire.connect()
        first, port = listener.accept()
        assert wire._socket is not None
        copy = wire._socket.dup()
        asyncio.get_running_loop().call_later(copied_for, copy.close)
        with first, copy:
            await wire.bury()
            try:
                second, again = listener.accept()
            except TimeoutError:
                return False  # the copy is there yet; or another program's connection shares the port
            second.close()
            return bool(port == again)

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.5)
            assert any([await bury_one(listener, 0.3) for _ in range(5)])
            assert not await bury_one(listener, 60)

    asyncio.run(run())


def test_a_port_that_refuses() -> None:
    """The system's error, and nothing left open."""

    async def run() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            wire = TcpWire(socket.AF_INET, unused.getsockname(), changed=lambda: None)
            with pytest.raises(OSError) as caught:  # asyncio's message says less than the number
                await wire.connect()
            await wire.bury()
        assert caught.value.errno == errno.ECONNREFUSED

    asyncio.run(run())


def test_a_kernel_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that this cannot be measured here, before anything is claimed."""
    monkeypatch.setattr(module, "read_tcp_info", lambda sock: None)

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            wire = TcpWire(socket.AF_INET, listener.getsockname(), changed=lambda: None)
            with pytest.raises(NotSupported, match="TCP_INFO"):
                await wire.connect()

    asyncio.run(run())
