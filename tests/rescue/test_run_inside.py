"""Where a filter refuses pidfd_getfd, as Docker's default profile does: Python is protected from inside."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import keptalive
from rescue.test_run import PATIENCE, PROTECTED, RUN, WAIT_FOR_KEEPALIVE, eventually
from support import clean_environment, require

INJECTED = Path(keptalive.__file__).parent / "rescue" / "injected"
REFUSING = [sys.executable, str(Path(__file__).parent / "programs" / "without_getfd.py")]
REFUSED = "a seccomp filter forbids pidfd_getfd here, as Docker's default profile does"

WARNING = f"keptalive: only Python programs are sure to be protected here, from inside: {REFUSED}\n"


@pytest.fixture(scope="module", autouse=True)
def _filter() -> None:
    """The tests need a machine that takes the filter."""
    done = subprocess.run([*REFUSING, "true"], capture_output=True, text=True, check=False)
    require(done.returncode == 0, done.stderr)


def run(*command: str, options: tuple[str, ...] = (), **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command under `keptalive run` behind the filter."""
    argv = [*REFUSING, *RUN, *options, "--", *command]
    how = {"env": clean_environment(), **how}
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False, **how)


def finished(summary: Path) -> list[dict[str, Any]]:
    """Return what the summary of a run says of its processes, when all have ended."""
    assert eventually(lambda: summary.exists() and json.loads(summary.read_text())["complete"])
    entries: list[dict[str, Any]] = json.loads(summary.read_text())["processes"]
    return entries


@pytest.fixture
def port() -> Iterator[int]:
    """Offer a port to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_python_program_is_protected_from_inside(tmp_path: Path) -> None:
    """Its connections, its listeners, and what they accept; one line says that others would not be."""
    summary = tmp_path / "summary.json"
    done = run(sys.executable, "-c", WAIT_FOR_KEEPALIVE, options=("--summary", str(summary)))

    assert (done.returncode, done.stdout) == (0, PROTECTED)
    assert done.stderr == WARNING
    (entry,) = finished(summary)
    assert (entry["way"], entry["problems"]) == ("inside", [])
    assert json.loads(summary.read_text())["refusal"] == REFUSED


def test_a_policy_holds_inside_too(tmp_path: Path) -> None:
    """Exactly, and before the connection is made."""
    code = (
        "import socket; listener = socket.create_server(('127.0.0.1', 0));"
        "client = socket.create_connection(listener.getsockname());"
        "print([client.getsockopt(1, 9), *(client.getsockopt(6, o) for o in (4, 5, 6))])"
    )

    assert run(sys.executable, "-c", code, options=("--policy", "60:20:7")).stdout == "[1, 60, 20, 7]\n"
    assert run(
        sys.executable, "-c", code, env={**clean_environment(), "KEPTALIVE_POLICY": "50:10:5"}
    ).stdout == ("[1, 50, 10, 5]\n")


def test_children_are_protected_and_others_are_named(tmp_path: Path, port: int) -> None:
    """Those that were forked or started; not one that heeds no environment, nor another program."""
    summary = tmp_path / "summary.json"
    connect = f"""
import socket, time
s = socket.create_connection(("127.0.0.1", {port}))
time.sleep(1.5)
print(s.getsockopt(1, 9), flush=True)
"""
    code = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", {connect!r}])
subprocess.Popen([sys.executable, "-E", "-c", {connect!r}])
if os.fork() == 0:
    exec({connect!r})
    os._exit(0)
if os.fork() == 0:
    os.execvp("bash", ["bash", "-c", "exec 5<>/dev/tcp/127.0.0.1/{port}; read -t 1.5 -u 5; echo bash"])
for child in range(4):
    os.wait()
"""
    done = run(sys.executable, "-c", code, options=("--summary", str(summary)))
    entries = finished(summary)
    uncovered = [entry for entry in entries if entry["way"] is None]

    assert sorted(done.stdout.split()) == ["0", "1", "1", "bash"]
    assert [entry["way"] for entry in entries].count("inside") == 3
    assert len(uncovered) == 2
    assert "bash" in [entry["process"] for entry in uncovered]
    for entry in uncovered:
        (problem,) = entry["problems"]
        assert REFUSED in problem and "no word came from inside" in problem
        assert (entry["sockets"], entry["ended"]) == (1, True)


def sitecustomize(folder: Path, text: str) -> dict[str, str]:
    """Return an environment in which *text* is the user's own sitecustomize."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text)
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**clean_environment(), "PYTHONPATH": os.pathsep.join(path)}


SHOW = (
    "import sys; module = sys.modules.get('sitecustomize'); print(getattr(module, 'mine', None), sys.path,"
    "[name for name in sys.modules if name.startswith('sitecustomize')])"
)


@pytest.mark.parametrize(
    "text",
    [
        "mine = 'ran'",
        "import sys; sys.path.append('/added'); mine = 'ran'",
        "raise ValueError('theirs')",
        "import nothing_of_the_kind",
    ],
)
def test_an_existing_sitecustomize_runs_as_without(tmp_path: Path, text: str) -> None:
    """It is the module of that name, and what it raises is reported by Python as it would be."""
    environment = sitecustomize(tmp_path / "mine", text)
    plain = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
    )
    done = run(sys.executable, "-c", SHOW, env=environment)
    program_said = done.stderr.rpartition(f"{REFUSED}\n")[2]  # keptalive is a Python program itself

    assert (done.returncode, program_said) == (0, plain.stderr)
    assert done.stdout == plain.stdout or plain.stderr
    assert "ran" in plain.stdout or plain.stderr


def test_the_injected_file_is_for_every_python() -> None:
    """It needs no syntax younger than Python 2.7."""
    tree = list(ast.walk(ast.parse((INJECTED / "sitecustomize.py").read_text(), feature_version=(3, 4))))
    young = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Nonlocal, ast.Match)

    assert not [node for node in tree if isinstance(node, young)]
    assert not [
        node for node in tree if isinstance(node, ast.FunctionDef) and (node.args.kwonlyargs or node.returns)
    ]
    assert not [node for node in tree if isinstance(node, ast.arg) and node.annotation]


def test_a_broken_keptalive_harms_nobody(tmp_path: Path) -> None:
    """The program runs on as if it were not there."""
    (tmp_path / "keptalive").mkdir()
    (tmp_path / "keptalive" / "__init__.py").write_text("raise RuntimeError('broken')")
    environment = {
        **clean_environment(),
        "PYTHONPATH": f"{INJECTED}{os.pathsep}{tmp_path}",
        "KEPTALIVE_RUN": "nobody-listens",
    }
    done = subprocess.run(
        [sys.executable, "-c", "print('fine')"], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


def test_a_python_without_keptalive_is_protected_too() -> None:
    """By the files of the keptalive that runs it: nothing needs to be installed for it."""
    python = "/usr/bin/python3"
    environment = {name: value for name, value in clean_environment().items() if name != "PYTHONPATH"}
    check = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]
    require(
        Path(python).exists() and subprocess.run(check, check=False).returncode == 0, f"no fitting {python}"
    )
    installed = subprocess.run([*RUN, "--help"], env=environment, capture_output=True, check=False)
    require(installed.returncode == 0, "keptalive is not installed for this Python, but on PYTHONPATH")
    code = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0));"
        "print(s.getsockopt(1, 9), sys.path)"
    )
    plain = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert plain.stdout.startswith("0 ")
    assert run(python, "-c", code, env=environment).stdout == plain.stdout.replace("0 ", "1 ", 1)
