"""`keptalive ps`: agrees with ss, says the same as text and as JSON, and lets nothing act on a terminal."""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keptalive.cli.exits import Exit
from keptalive.cli.main import main
from keptalive.cli.ps import Count, document
from keptalive.cli.ps_rows import Json, Rows, folded, folds, quoted
from keptalive.cli.ps_watch import Changes
from keptalive.survey import Survey
from linux.confined import USER, confined
from linux.holder import Holder, holding, keepalive
from linux.programs import NOBODY, program
from support import require, tcp_pair

FIELDS = {
    "pid", "process", "local", "remote", "state", "timer", "expires", "probes", "protected", "keepalive",
    "idle", "interval", "count", "user_timeout",
}  # fmt: skip


def ps(*arguments: str, check: bool = True) -> str:
    """Run the command as its user would."""
    command = [sys.executable, "-m", "keptalive", "ps", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if check:
        assert done.returncode == 0, done.stderr
    return done.stdout


def ps_json(*arguments: str) -> list[dict[str, Any]]:
    document = json.loads(ps("--json", *arguments))
    assert document["schema"] == 1
    rows: list[dict[str, Any]] = document["connections"]
    return rows


# --- agreement with ss ---------------------------------------------------------------------------

_SS_STATES = {"ESTAB": "ESTABLISHED"}
_SS_LINE = re.compile(
    r"(?P<state>\S+)\s+\d+\s+\d+\s+(?P<local>\S+)\s+(?P<remote>\S+)"
    r"(?:\s+users:\(\((?P<users>.*?)\)\))?(?:\s+timer:\((?P<timer>\w+),(?P<expires>[^,]*),(?P<probes>\d+)\))?\s*$"
)
_SS_USER = re.compile(r'"(.*?)",pid=(\d+),fd=\d+')

Row = tuple[Any, ...]


def _seconds(text: str) -> float:
    """Read ss's "1min29sec", "59sec", "1.234ms" (which it calls seconds with thousandths), "060ms"."""
    total = 0.0
    for number, unit in re.findall(r"([\d.]+)(min|sec|ms)", text):
        value = float(number)
        total += value * {"min": 60, "sec": 1, "ms": 1 if "." in number else 0.001}[unit]
    return total


def _from_ss(holder: Holder) -> dict[tuple[str, str], Row]:
    rows = {}
    for line in holder.run("ss", "-tnopH").splitlines():
        found = _SS_LINE.match(line)
        assert found, line
        users = sorted((int(pid), name) for name, pid in _SS_USER.findall(found["users"] or ""))
        pid, name = users[0] if users else (None, None)
        rows[found["local"], found["remote"]] = (
            _SS_STATES.get(found["state"], found["state"]),
            found["timer"] or "off",
            int(found["probes"] or 0),
            pid,
            name,
            None if found["timer"] is None else _seconds(found["expires"]),
        )
    return rows


def test_it_agrees_with_ss() -> None:
    """On every field both have, over more than a thousand live connections in mixed states."""
    require(shutil.which("ss"), "ss is not installed")
    with holding(45) as holder:
        before = _from_ss(holder)
        ours = {
            (row["local"], row["remote"]): tuple(
                row[name] for name in ("state", "timer", "probes", "pid", "process", "expires")
            )
            for row in ps_json("--netns", str(holder.pid))
        }
        after = _from_ss(holder)

    assert len(ours) > 1000
    assert Counter(row[0] for row in ours.values()).keys() >= {
        "ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK", "SYN-SENT",
    }  # fmt: skip
    assert {row[1] for row in ours.values()} >= {"off", "keepalive", "on"}
    assert before.keys() & after.keys() <= ours.keys() <= before.keys() | after.keys()
    steady = [key for key in ours if key in before and key in after and before[key][:5] == after[key][:5]]
    assert len(steady) > 0.7 * len(ours)
    assert {key: ours[key][:5] for key in steady} == {key: before[key][:5] for key in steady}
    for key in steady:
        if ours[key][1] == "keepalive":  # it runs down between the two looks of ss, which drops fractions
            most = before[key][5] + (60 if before[key][5] >= 600 else 1)
            assert after[key][5] <= ours[key][5] <= most


# --- what is printed -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed() -> Iterator[Holder]:
    with holding(2) as holder:
        yield holder


def test_the_fields_of_a_row() -> None:
    """Those that the design names, with unknown as null."""
    with tcp_pair(socket.AF_INET6) as (client, server):
        keepalive(client, 60)
        rows = {row["local"]: row for row in ps_json("-p", str(os.getpid()))}
        mine = rows[f"[::1]:{client.getsockname()[1]}"]
        other = rows[f"[::1]:{server.getsockname()[1]}"]

    assert mine.keys() == FIELDS
    assert 50 < mine.pop("expires") <= 60
    assert mine == {
        "pid": os.getpid(), "process": mine["process"], "local": other["remote"], "remote": other["local"],
        "state": "ESTABLISHED", "timer": "keepalive", "probes": 0, "protected": True, "keepalive": True,
        "idle": None, "interval": None, "count": None, "user_timeout": None,
    }  # fmt: skip
    assert (other["timer"], other["expires"], other["protected"], other["keepalive"]) == (
        "off",
        None,
        False,
        False,
    )


def test_text_and_json_say_the_same(mixed: Holder) -> None:
    """The same rows, in the same order, with the same words."""
    rows = ps_json("--netns", str(mixed.pid), "--all")
    header, *lines = ps("--netns", str(mixed.pid), "--all").splitlines()

    assert header.split() == [
        "PROCESS", "PID", "STATE", "TIMER", "EXPIRES", "PROBES", "PROTECTED", "LOCAL", "->", "REMOTE",
    ]  # fmt: skip
    words = {True: "yes", False: "no", None: "-"}
    for row, line in zip(rows, lines, strict=False):
        cells = line.split()
        assert cells[0] == (row["process"] or "-")
        assert cells[1] == str(row["pid"] or "-")
        assert cells[2:4] == [row["state"], row["timer"]]
        assert (cells[4] == "-") == (row["expires"] is None)
        assert cells[-3:] == [row["local"], "->", row["remote"]]
        assert cells[-4] == words[row["protected"]]


def test_the_summary(mixed: Holder) -> None:
    """How many connections, how many unprotected, whose; below the table and in the JSON."""
    summary = json.loads(ps("--netns", str(mixed.pid), "--json"))["summary"]
    rows = ps_json("--netns", str(mixed.pid))
    last = ps("--netns", str(mixed.pid)).splitlines()[-1]

    assert summary["connections"] == len(rows)
    assert summary["protected"] == sum(row["protected"] is True for row in rows)
    assert summary["unprotected"] == sum(row["protected"] is False for row in rows)
    assert summary["unknown"] == sum(row["protected"] is None for row in rows)
    owned = Counter(row["process"] for row in rows if row["protected"] is False and row["process"])
    assert summary["unprotected_by"] == dict(owned)
    ((name, number),) = owned.items()
    assert last == (
        f"{summary['connections']} connections: {summary['protected']} protected, "
        f"{summary['unprotected']} unprotected ({name} {number}), {summary['unknown']} unknown"
    )


def test_exact_shows_the_settings(mixed: Holder) -> None:
    """In four more columns."""
    text = ps("--netns", str(mixed.pid), "--exact")
    rows = ps_json("--netns", str(mixed.pid), "--exact")

    assert text.split("\n", 1)[0].split()[7:12] == ["KEEPALIVE", "IDLE", "INTERVAL", "COUNT", "USER"]
    assert {row["idle"] for row in rows if row["protected"]} == {60, 90}
    assert re.search(r" yes +60 +75 +9 +- ", text)


def test_without_owners(mixed: Holder) -> None:
    """No column for them, and no search."""
    text = ps("--netns", str(mixed.pid), "--no-owner")

    assert text.startswith("STATE ")
    assert {row["pid"] for row in ps_json("--netns", str(mixed.pid), "--no-owner")} == {None}


def test_nothing_to_show(mixed: Holder) -> None:
    """Zero is an answer too: valid JSON, and a sentence."""
    assert ps_json("--netns", str(mixed.pid), "--remote", "192.0.2.1") == []
    assert (
        ps("--netns", str(mixed.pid), "--remote", "192.0.2.1")
        == "0 connections: 0 protected, 0 unprotected\n"
    )


def test_nothing_to_show_of_some_batches() -> None:
    """Where the kernel's answer comes in pieces, some may have nothing that was asked for."""
    with holding(700, "off", "late") as holder:
        (first, *_) = ps_json("--netns", str(holder.pid), "--no-owner")
        arguments = ("--netns", str(holder.pid), "--no-owner", "--remote", first["remote"])

        assert first["remote"] in {row["remote"] for row in ps_json(*arguments)}
        assert len(ps(*arguments).splitlines()) == len(ps_json(*arguments)) + 3


def _exit(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "keptalive", "ps", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


def test_exit_codes(mixed: Holder) -> None:
    """Listing is fine whatever is found; asking for unprotected ones and finding some is a problem."""
    here = ("--netns", str(mixed.pid))

    assert _exit(*here)[0] == Exit.OK
    assert _exit(*here, "--unprotected")[0] == Exit.PROBLEM
    assert _exit(*here, "--unprotected", "--no-loopback")[0] == Exit.OK  # all of them are within the machine
    assert ps(*here, "--no-loopback").startswith("0 connections")
    assert _exit(*here, "--unprotected", "--remote", "192.0.2.1")[0] == Exit.OK
    assert _exit("-p", str(NOBODY)) == (Exit.USAGE, f"keptalive: there is no process {NOBODY}\n")
    assert _exit("-p", "x")[0] == Exit.USAGE
    assert _exit("--remote", ":99999")[0] == Exit.USAGE


def test_a_reader_that_leaves(mixed: Holder) -> None:
    """As with `| head`: no traceback."""
    command = f"{sys.executable} -m keptalive ps --netns {mixed.pid} --json --all | head -c 10"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60)

    assert (done.stdout, done.stderr) == ('{"schema":', "")


# --- hostile input -------------------------------------------------------------------------------

HOSTILE = '\x1b]0;x\x07\x9b[2J"\\\n'
_ACTING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def test_a_hostile_name_reaches_no_terminal() -> None:
    """A process may call itself anything: what would act on a terminal is written out."""
    with program("named", HOSTILE) as running:
        text = ps("-p", str(running.pid), "--unprotected", check=False)
        (row, *_) = ps_json("-p", str(running.pid))

    assert not _ACTING.search(text)
    assert "\\x1b]0;x\\x07" in text
    assert row["process"].startswith("\x1b]0;x\x07")


def _survey(names: list[str], records: list[Any], hidden: bool = False) -> Survey:
    holders = {record[-1]: (record[-1] % (len(names) or 1), 3) for record in records if record[-1] % 3}
    found = Survey([records], holders, [NOBODY] if hidden else [])
    found.names.update(enumerate(names))
    return found


_ADDRESSES = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=20, max_size=20),
)
_RECORDS = st.tuples(
    st.integers(0, 65535), st.integers(0, 65535), st.binary(min_size=4, max_size=4), _ADDRESSES, _ADDRESSES,
    st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1),
)  # fmt: skip
_NAMES = st.lists(st.text(max_size=16), min_size=1, max_size=4)


@given(_NAMES, st.lists(_RECORDS, max_size=20), st.booleans(), st.booleans(), st.booleans())
@settings(deadline=None)
def test_any_records_and_names_are_printed_safely(
    names: list[str], records: list[Any], owner: bool, exact: bool, hidden: bool
) -> None:
    """Valid JSON, and text without a character that acts."""
    args = argparse.Namespace(json=True, no_owner=not owner, exact=exact)
    answer = json.loads("".join(document(_survey(names, records, hidden), args, Count())))
    rows = answer["connections"]
    args.json = False
    text = "".join(document(_survey(names, records, hidden), args, Count()))

    assert len(rows) == len(records)
    assert all(row["pid"] is None or row["pid"] >= 0 for row in rows)
    marked = len(re.findall(r"^\(.{1,13}\) {2,}\?  ", text, re.MULTILINE))
    assert marked == (answer["summary"]["owner_hidden"] if owner else 0)
    assert all(row.keys() == FIELDS for row in rows)
    assert not _ACTING.search(text)
    assert text.encode()


@given(st.text())
def test_any_text_is_quoted(text: str) -> None:
    """As JSON has it."""
    assert json.loads(quoted(text)) == text


def test_another_users_connections_are_marked() -> None:
    """An ordinary user is told which rows somebody else owns, and who; a socket of nobody has no mark."""
    require(os.geteuid() == 0, "changing the user needs root")
    with tcp_pair() as (client, server):
        port, other = client.getsockname()[1], server.getsockname()[1]
        seen = confined(f"keptalive.cli.main.main(['ps', '-a', '--remote', ':{other}'])", user=USER)
        known = ps("--remote", f":{other}")
        client.close()
        server.close()  # the client spoke its FIN first: it is in TIME-WAIT, and nobody's any more
        gone = confined(f"keptalive.cli.main.main(['ps', '-a', '--remote', ':{other}'])", user=USER)

    assert re.search(rf"^\(root\) +\?  ESTABLISHED .* 127\.0\.0\.1:{port} -> ", seen, re.MULTILINE)
    assert "The process of 1 (marked ?) is hidden from this user; root sees it." in seen
    assert re.search(rf"^\S+ +{os.getpid()}  ESTABLISHED .* 127\.0\.0\.1:{port} -> ", known, re.MULTILINE)
    assert "hidden" not in known
    assert re.search(rf"^- +-  TIME-WAIT .* 127\.0\.0\.1:{port} -> ", gone, re.MULTILINE)
    assert "hidden" not in gone


# --- watching ------------------------------------------------------------------------------------


def _record(port: int, timer: int = 2, state: int = 1, expires: int = 60_000) -> Any:
    return (port, 80, bytes([2, state, timer, 0]), b"\x7f\0\0\1", b"\x7f\0\0\2", expires, 0, port)


def _look(changes: Changes, *records: Any) -> list[str]:
    lines = changes.lines(_survey(["x"], list(records)))
    return [line[:2] + line.split()[-3] for line in lines[1:-2]]


def test_changes_are_marked() -> None:
    """New +, changed ~, gone - for one look; the countdown is no change."""
    changes = Changes(argparse.Namespace(no_owner=True, exact=False))
    one, two, three = (f"127.0.0.1:{port}" for port in (1, 2, 3))

    assert _look(changes, _record(1), _record(2)) == [f"  {one}", f"  {two}"]
    assert _look(changes, _record(1, expires=59_000), _record(2)) == [f"  {one}", f"  {two}"]
    assert _look(changes, _record(1, timer=0), _record(3)) == [f"~ {one}", f"+ {three}", f"- {two}"]
    assert _look(changes, _record(1, timer=0), _record(3)) == [f"  {one}", f"  {three}"]


def _watching(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "keptalive", "ps", "--watch", "0.2", *arguments]
    return subprocess.Popen(command, text=True, **options)


def test_watching_as_json(mixed: Holder) -> None:
    """One document a line, until Ctrl-C."""
    with _watching("--netns", str(mixed.pid), "--json", stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGINT)

        assert watching.wait(30) == Exit.INTERRUPTED
    assert {len(look["connections"]) for look in looks} == {len(ps_json("--netns", str(mixed.pid)))}


def test_watching_without_a_terminal() -> None:
    """The table anew each time, with its marks."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        _watching(
            "-p", str(os.getpid()), "--remote", f":{listener.getsockname()[1]}", stdout=subprocess.PIPE
        ) as watching,
    ):
        assert watching.stdout is not None
        for line in watching.stdout:
            if line.startswith("0 connections"):
                break
        with socket.create_connection(listener.getsockname()):
            for line in watching.stdout:
                if line.startswith("+ "):
                    break
        for line in watching.stdout:
            if line.startswith("- "):
                break
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()

        assert watching.wait(30) == Exit.INTERRUPTED


def _seen_on_a_terminal(mixed: Holder, environment: dict[str, str], until: bytes) -> bytes:
    terminal, its_end = pty.openpty()
    seen = b""
    try:
        with _watching(
            "--netns", str(mixed.pid), stdout=its_end, env={**os.environ, **environment}
        ) as watching:
            os.close(its_end)
            deadline = time.monotonic() + 60
            while until not in seen and time.monotonic() < deadline:
                seen += os.read(terminal, 65536)
            watching.send_signal(signal.SIGINT)
            while True:
                try:
                    seen += os.read(terminal, 65536)
                except OSError:
                    break
            assert watching.wait(30) == Exit.INTERRUPTED
    finally:
        os.close(terminal)
    return seen


def test_watching_on_a_terminal(mixed: Holder) -> None:
    """In its place, on a screen of its own that is left again."""
    pytest.importorskip("rich")
    seen = _seen_on_a_terminal(mixed, {"TERM": "xterm", "COLUMNS": "140", "LINES": "12"}, b"and ")

    assert seen.startswith(b"\x1b[?1049h") or b"\x1b[?1049h" in seen
    assert b"\x1b[?1049l" in seen
    assert b"PROCESS" in seen
    assert b"... and " in seen
    assert b" connections: " in seen.partition(b"\x1b[?1049l")[2]  # the last table stays
    assert b" connections: " in seen


def test_a_narrow_terminal_shows_the_ends_too(mixed: Holder) -> None:
    """In a line of their own."""
    pytest.importorskip("rich")
    seen = _seen_on_a_terminal(mixed, {"TERM": "xterm", "COLUMNS": "80", "LINES": "40"}, b" connections: ")

    assert b"PROTECTED" in seen
    assert b"\n    LOCAL -> REMOTE" in seen.replace(b"\r", b"").replace(b"\x1b[0m", b"").replace(
        b"\x1b[1m", b""
    )
    assert re.search(rb"127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+", seen)


def test_folding() -> None:
    """A row that is too long is broken before its two ends, and nowhere else."""
    header, row = "  X  PROTECTED  LOCAL", "~ x  no         a:1 -> b:2"

    assert folds(header, [row], None) == folds(header, [row], 26) == []
    assert folded(row, []) == row
    assert folds(header, [row], 25) == [16]
    assert folded(row, [16]) == "~ x  no\n    a:1 -> b:2"


def test_folding_with_settings() -> None:
    """They have a line of their own only if they need it."""
    header, row = "X  KEEPALIVE  COUNT  LOCAL", "x  yes            9  a:1 -> b:2"

    assert folds(header, [row], 30) == [21]
    assert folds(header, [row], 18) == [3, 21]
    assert folded(row, [3, 21]) == "x\n    yes            9\n    a:1 -> b:2"


def test_a_narrow_terminal_breaks_no_row(
    mixed: Holder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor its settings; where nobody looks, each connection is one line."""
    arguments = ["ps", "--netns", str(mixed.pid), "--exact"]
    monkeypatch.setattr("gc.disable", lambda: None)  # this process goes on
    main(arguments)
    plain = capsys.readouterr().out.splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(arguments)
    narrow = capsys.readouterr().out.splitlines()

    assert len(narrow) - 2 == 3 * (len(plain) - 2)
    assert max(map(len, narrow[:-1])) <= 80 < max(map(len, plain))
    assert [" ".join(narrow[at : at + 3]).split()[-8:] for at in range(0, len(narrow) - 2, 3)] == [
        line.split()[-8:] for line in plain[:-2]
    ]


def test_rows_tell_when_facts_change() -> None:
    """The countdown is not among them."""
    rows = Rows(found := _survey(["x"], []), Json(found))

    assert rows.spelled(b"\x02\x01\x02\x00") != rows.spelled(b"\x02\x01\x00\x00")
