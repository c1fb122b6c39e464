"""What the lab's tests share: whether this machine can do the kernel engine, and a lab of each engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab
from lab.users import world_readable
from support import missing


@pytest.fixture(scope="session")
def kernel_refusal() -> str | None:
    """Return why the kernel engine does not work here, for this user; None if it does."""
    try:
        open_lab("idle-drop:60", "kernel").close()
    except LabError as error:
        return str(error)
    return None


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.lab) for name in ("kernel", "packet")] + ["relay"]
)
def engine(request: pytest.FixtureRequest, kernel_refusal: str | None) -> str:
    """Name each engine in turn."""
    if request.param != "relay" and kernel_refusal:
        missing(kernel_refusal)
    name: str = request.param
    return name


@pytest.fixture
def lab(engine: str) -> Iterator[Lab]:
    """Open a lab, of each engine in turn, whose firewall forgets nothing during a test."""
    with open_lab("idle-drop:600", engine) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_directory() -> Iterator[Path]:
    """Offer a directory that any user can read, with the package and these scripts in it."""
    with tempfile.TemporaryDirectory() as name:
        yield world_readable(Path(name))
