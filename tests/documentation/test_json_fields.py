"""What `--json` prints is what the reference says: no field without a line, no line without a field."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from documentation.pages import DOCS
from keptalive.lab import open_lab
from support import clean_environment

TEXT = (DOCS / "reference" / "command-line.md").read_text("utf-8")


def section(verb: str) -> str:
    """Return what the reference says about a verb, but for its options."""
    found = re.search(rf"^## `keptalive {verb}`\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, verb
    return re.sub(r"<!-- \w+: generated -->.*?<!-- /\w+ -->", "", found[1], flags=re.DOTALL)


def fields(verb: str) -> set[str]:
    """Return the names in the left column of a verb's table of fields."""
    rows = "\n".join(re.findall(r"^\|---\|---\|\n((?:\|.*\n)+)", section(verb), re.MULTILINE))
    cells = re.findall(r"^\| ([^|]*) \|", rows, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def printed(*arguments: str) -> dict[str, Any]:
    """Return what a verb prints as JSON, without the schema's number."""
    done = subprocess.run(
        [sys.executable, "-m", "keptalive", *arguments, "--json"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    assert document.pop("schema") == 1
    return document


@pytest.fixture
def connection() -> Iterator[int]:
    """A connection of this process; its server's port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            other, _ = listener.accept()
            with other:
                yield port


def test_ps(connection: int) -> None:
    """Each row, and the summary."""
    shown = printed("ps", "-p", str(os.getpid()), "--remote", f"127.0.0.1:{connection}", "--exact")
    summary = section("ps").partition("\n`summary` has")[2]

    assert shown.keys() == {"connections", "summary"}
    assert {*shown["connections"][0]} == fields("ps")
    assert all(f"`{name}`" in summary for name in shown["summary"])


def test_attach(connection: int) -> None:
    """Each row, and what of a socket is set."""
    shown = printed("attach", str(os.getpid()))

    assert shown.keys() == {"sockets", "refused"}
    assert {*shown["sockets"][0]} == fields("attach")
    assert all(f"`{name}`" in section("attach") for name in shown["sockets"][0]["before"])


def test_run(tmp_path: Path, connection: int) -> None:
    """The summary of a program with a connection."""
    summary = tmp_path / "summary.json"
    code = f"import socket, time; s = socket.create_connection(('127.0.0.1', {connection})); time.sleep(1.5)"
    subprocess.run(
        [sys.executable, "-m", "keptalive", "run", "--summary", summary, "--", sys.executable, "-c", code],
        check=True,
        timeout=100,
    )
    shown = json.loads(summary.read_text())

    assert {*shown} - {"schema"} == fields("run")
    assert all(f"`{name}`" in section("run") for row in shown["processes"] for name in row)


def test_probe() -> None:
    """A measurement of a path that forgets nothing."""
    with open_lab("idle-drop:600", "relay") as lab:
        shown = printed("probe", f"{lab.host}:{lab.port}", "--max", "2", "--connections", "5", "--rate", "0")

    assert {*shown} == fields("probe")


def test_serve() -> None:
    """Where it listens."""
    argv = [sys.executable, "-m", "keptalive", "serve", "--port", "0", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        select.select([server.stdout], [], [], 60)
        server.send_signal(signal.SIGTERM)
        shown = json.loads(server.stdout.read())

    assert {*shown} - {"schema"} == {"addresses"}
    assert "`addresses`" in section("serve")


def test_lab_faults() -> None:
    """Each fault, each preset."""
    shown = printed("lab", "faults")

    assert {*shown} - {"schema"} == {"faults", "presets"}
    assert all(
        f"`{name}`" in section("lab") for rows in ("faults", "presets") for name in (rows, *shown[rows][0])
    )


def test_demo() -> None:
    """What its code hands to the printer; the demonstration itself takes half a minute."""
    source = (Path(sys.modules["keptalive"].__file__ or "").parent / "cli" / "demo.py").read_text()
    names = set(re.findall(r'^ {20}"(\w+)":', source, re.MULTILINE))

    assert names == fields("demo")


def test_errors() -> None:
    """`error` and `hint`, as the page says of all."""
    assert printed("probe", "no-such-host.invalid", "--precision", "7").keys() == {"error", "hint"}
    assert "`error`" in TEXT
    assert "`hint`" in TEXT
