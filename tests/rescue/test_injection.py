"""What the environment of a run tells its Python programs."""

from __future__ import annotations

import os

import pytest

from keptalive.rescue import injection


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, [injection._FOLDER]),
        ({b"PYTHONPATH": b""}, [injection._FOLDER]),
        ({b"PYTHONPATH": b"a::b"}, [injection._FOLDER, "a", "", "b"]),
    ],
)
def test_the_folder_comes_first(before: dict[bytes, bytes], after: list[str]) -> None:
    """What was there stays as it was; an empty PYTHONPATH is none."""
    injection.prepare(before, 7, None)

    assert before[b"PYTHONPATH"].decode().split(os.pathsep) == after


@pytest.mark.parametrize("policy", [None, "60:15:9", "60:15:9:300"])
def test_what_was_told_arrives(monkeypatch: pytest.MonkeyPatch, policy: str | None) -> None:
    """The follower's address, and the policy."""
    environment: dict[bytes, bytes] = {}
    injection.prepare(environment, 7, policy)
    monkeypatch.setenv(injection.VARIABLE, environment[injection.VARIABLE.encode()].decode())

    assert injection.instructions() == (injection.address(7), policy)


def test_nothing_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that somebody gave the folder, without a run."""
    monkeypatch.delenv(injection.VARIABLE, raising=False)

    assert injection.instructions() is None
