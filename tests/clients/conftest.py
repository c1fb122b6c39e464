"""Fixtures of the clients' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Origins and proxies on loopback, for one test."""
    world = World(tmp_path)
    yield world
    world.close()
