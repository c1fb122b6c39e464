"""The pytest plugin: a fixture that puts a misbehaving firewall between a test's client and a server.

    def test_the_client_survives(keptalive_lab):
        with keptalive_lab("idle-drop:2") as box:
            assert my_client.get(f"{box.url}/sleep/4") == "slept 4"

Rule: every test run of whoever has this package installed imports this file, so it imports nothing that
pytest has not; what a test asks for is loaded then. Each choice is a fixture that a project may override.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

TYPE_CHECKING = False  # type checkers take it for true
if TYPE_CHECKING:
    from typing import Protocol

    from keptalive.lab.box import Box

    class OpenBox(Protocol):
        """What the fixture `keptalive_lab` is."""

        def __call__(
            self, fault: str = ..., to: tuple[str, int] | str | None = ..., *, speed: float | None = ...
        ) -> Box:
            """Open a box."""


@pytest.fixture(scope="session")
def keptalive_lab_listen() -> str:
    """Where boxes listen: this machine's own address, over IPv4. Override it with "::1" for IPv6."""
    return "127.0.0.1"


@pytest.fixture(scope="session")
def keptalive_lab_speed() -> float:
    """By how much the times of faults are divided, unless a test says so itself: 1, not at all."""
    return 1.0


@pytest.fixture
def keptalive_lab(keptalive_lab_listen: str, keptalive_lab_speed: float) -> Iterator[OpenBox]:
    """Open boxes, as keptalive.lab.open_box() does; those that are left open end with the test."""
    from keptalive.lab import open_box

    opened: list[Box] = []

    def open_one(
        fault: str = "idle-drop:2", to: tuple[str, int] | str | None = None, *, speed: float | None = None
    ) -> Box:
        speed = keptalive_lab_speed if speed is None else speed
        opened.append(open_box(fault, to, speed=speed, listen=keptalive_lab_listen))
        return opened[-1]

    yield open_one
    for box in opened:
        box.close()
