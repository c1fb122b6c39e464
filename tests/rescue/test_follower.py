"""The follower of a run, in this process: what it does where things go wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keptalive.rescue import follower as module
from keptalive.rescue import mark
from keptalive.rescue.follower import Follower, reach
from keptalive.rescue.keeper import Keeper


@contextmanager
def sleeper(*inherited: int) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that holds some descriptors and sleeps until it is killed."""
    with subprocess.Popen(["sleep", "60"], pass_fds=inherited) as process:
        yield process
        process.kill()


def read(path: Path) -> dict[str, object]:
    """Return the summary."""
    document: dict[str, object] = json.loads(path.read_text())
    return document


def test_a_look_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The follower goes on, and its summary says what happened."""
    path = tmp_path / "summary.json"
    look = Keeper.look
    failed: list[bool] = []

    def fail_once(self: Keeper, over: object) -> object:
        if not failed:
            failed.append(True)
            raise RuntimeError("what nobody thought of")
        looks = list(look(self, over))  # type: ignore[arg-type]
        program.kill()
        return looks

    monkeypatch.setattr(Keeper, "look", fail_once)
    with socket.create_server(("127.0.0.1", 0)) as listener, sleeper(listener.fileno()) as program:
        Follower(program.pid, mark.new(), None, str(path), refused=None).stay()
        on = listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert (on, read(path)["complete"]) == (1, True)
    assert "what nobody thought of" in str(read(path)["trouble"])


def test_a_summary_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no reason to leave connections unprotected; nothing half written stays behind."""
    folder = tmp_path / "gone"

    def refuse(source: str, target: str) -> None:
        program.kill()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener, sleeper(listener.fileno()) as program:
        following = Follower(program.pid, mark.new(), None, str(folder / "summary.json"), refused=None)
        with pytest.raises(OSError, match="No space left"):
            following.stay()  # the last one, when all is over
        on = listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert on == 1
    assert list(folder.iterdir()) == []


def test_a_program_that_is_gone_already(tmp_path: Path) -> None:
    """Then there is nothing to do, and that is said."""
    path = tmp_path / "summary.json"
    Follower(2**22 + 1, mark.new(), "60:15:9", str(path), refused=None).stay()

    assert (read(path)["complete"], read(path)["policy"], read(path)["processes"]) == (True, "60:15:9", [])


def test_reaching_out() -> None:
    """None if a descriptor of another process can be had, otherwise why not."""
    with sleeper() as program:
        assert reach(program.pid, 0) is None
    assert reach(2**22 + 1, 0) == f"there is no process {2**22 + 1}"


def test_the_table_of_sockets_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without it is no error here."""

    def refuse() -> socket.socket:
        raise module.NotPermitted(1, "no")

    monkeypatch.setattr(module.netlink, "open_socket", refuse)

    assert module._tcp_sockets() == set()
