"""Every test must leave the process as it found it: descriptors, threads, children, namespaces."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


# Files that take more than ten seconds, the longest first; the others follow by how many tests they have.
# A worker that began one of these last would have all others wait for it.
_LONG = (
    "tests/matrix/test_matrix.py",
    "tests/test_benchmarks.py",
    "tests/lab/test_pytest_plugin.py",
    "tests/lab/test_leftovers.py",
    "tests/cli/test_diagnose.py",
    "tests/documentation/test_tutorials.py",
    "tests/documentation/test_consoles.py",
    "tests/rescue/test_run_killed.py",
    "tests/probing/test_session.py",
    "tests/diagnosis/test_causes.py",
    "tests/clients/test_explain.py",
    "tests/cli/test_lab.py",
    "tests/chaos/test_chaos.py",
    "tests/test_docs.py",
    "tests/lab/test_stranger.py",
    "tests/truncation/test_truncation.py",
    "tests/lab/relayed/test_endings.py",
    "tests/cli/test_demo.py",
    "tests/cli/test_probe.py",
    "tests/probing/test_measure.py",
    "tests/rescue/test_run_lab.py",
    "tests/cli/test_ps.py",
    "tests/soak/test_soak.py",
    "tests/probing/test_real_servers.py",
    "tests/test_distribution.py",
    "tests/process_wide/test_clients.py",
    "tests/lab/engines/test_packet.py",
    "tests/diagnosis/test_session.py",
)

# These share their runs in the lab (lab_results), which are many.
_TOGETHER = ("tests/matrix/test_matrix.py", "tests/test_requests_not_repeated.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one worker, and those that share their runs.

    xdist's own way to do that, marks of groups, is lost on pytest 9.2, which keeps its ids elsewhere.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _file(nodeid)

    config.option.loadscopereorder = False  # it would count tests; the collection has been ordered
    return ByFile(config, log)


def _file(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return _TOGETHER[0] if file in _TOGETHER else file


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the tests, have those files come first that all would wait for at the end."""
    if not hasattr(config, "workerinput"):
        return
    files = Counter(_file(item.nodeid) for item in items)
    order = [*_LONG, *(file for file, _ in files.most_common() if file not in _LONG)]
    place = {file: number for number, file in enumerate(order)}
    items.sort(key=lambda item: place[_file(item.nodeid)])


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
