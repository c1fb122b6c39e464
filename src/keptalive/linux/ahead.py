"""Let an iterator run ahead in a thread, so that the kernel works while Python does.

Rule: for iterators that wait in system calls, which release the interpreter's lock.
"""

from __future__ import annotations

from _queue import SimpleQueue  # queue and threading take 4 ms to import
from _thread import start_new_thread
from collections.abc import Iterator

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield what *items* yields, and raise what it raises; it begins at once and waits for nobody.

    If the consumer stops early, *items* still runs to its end.
    """
    found: SimpleQueue[tuple[T] | Exception | None] = SimpleQueue()

    def run() -> None:
        try:
            for item in items:
                found.put((item,))
            found.put(None)
        except Exception as error:  # noqa: BLE001  # it is raised where the items are consumed
            found.put(error)

    start_new_thread(run, ())
    return _consumed(found)


def _consumed(found: SimpleQueue[tuple[T] | Exception | None]) -> Iterator[T]:
    while (entry := found.get()) is not None:
        if isinstance(entry, Exception):
            raise entry
        yield entry[0]
