"""Fixtures of the clients' tests, and what a library keeps for the life of the process."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.world import World


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> None:
    """Have opened before any test counts what is opened once and kept."""
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.new_event_loop().close()  # libuv's pipe for signals


@pytest.fixture(autouse=True)
def _no_records_of_retries(caplog: pytest.LogCaptureFixture) -> None:
    """Keep urllib3's word on a retry out of the log: it holds the exception, and that the connection."""
    caplog.set_level(logging.ERROR, logger="urllib3")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Origins and proxies on loopback, for one test."""
    world = World(tmp_path)
    yield world
    world.close()
