"""No test leaves the switch on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import keptalive


@pytest.fixture(autouse=True)
def _off_again() -> Iterator[None]:
    yield
    keptalive.uninstall()
