"""Every test must leave the process as it found it: descriptors, threads, children, namespaces."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import FOREIGN_VARIABLES

# Threads that live for the process by design: executors and resolvers of the clients.
_LASTING_THREADS = (
    "asyncio_",
    "Trio thread",
    "AnyIO worker",
    "pytest_timeout",
    "grpc",
    "ThreadPoolExecutor",
    "Dummy",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, in one worker, the tests of a file, and those that share the runs in the lab."""
    for item in items:
        shared = "lab_results" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("lab" if shared else str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Have programs that tests interrupt begin with SIGINT at its default, however the tests were started.

    A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FOREIGN_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def _sockets() -> set[str]:
    """Return the open sockets of this process by inode: what a leak here would be."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name = str(entry.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
        if name.startswith(("socket:", "net:", "pipe:")):
            found.add(name)
    return found


def _children() -> set[int]:
    pid = os.getpid()
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(child) for child in text.split()}


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if not t.name.startswith(_LASTING_THREADS)}


def _gone(left: Callable[[], set[object]]) -> set[object]:
    """Return what is left once things that end by themselves had up to three seconds to do so."""
    deadline = time.monotonic() + 3
    while left() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    return left()


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    if not Path("/proc/self/fd").exists():  # macOS and Windows have no cheap listing
        yield
        return
    before = _sockets(), _children(), _threads()
    yield
    probes = (("descriptors", _sockets), ("child processes", _children), ("threads", _threads))
    for (what, probe), had in zip(probes, before, strict=True):
        left = _gone(lambda probe=probe, had=had: probe() - had)  # type: ignore[misc]
        if left:
            pytest.fail(f"{request.node.name} leaves {what} behind: {left}")
