"""An iterator in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from keptalive.linux.ahead import ahead


def test_everything_comes_in_order() -> None:
    """As if it were iterated over directly."""
    assert list(ahead(iter(range(1000)))) == list(range(1000))


def test_it_does_not_wait_for_its_consumer() -> None:
    """All is fetched while nobody has asked for anything."""
    fetched = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        yield 2
        fetched.set()

    running = ahead(items())

    assert fetched.wait(30)
    assert list(running) == [1, 2]


def test_an_error_arrives_where_the_items_are_consumed() -> None:
    """After the items before it."""

    def items() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    running = ahead(items())

    assert next(running) == 1
    with pytest.raises(OSError, match="no more"):
        next(running)
