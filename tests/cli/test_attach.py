"""`keptalive attach`: what is printed, exit codes, and following a program to its end."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from keptalive.cli.exits import Exit
from keptalive.cli.main import main
from keptalive.rescue.attach import read_process
from linux.confined import USER, confined
from linux.holder import IPPROTO_MPTCP
from linux.programs import NOBODY, program
from support import require

COMMAND = (sys.executable, "-m", "keptalive", "attach")


def attach(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as its user would."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_each_socket_before_and_after() -> None:
    """One line each, and the sums."""
    with program("hold", "60") as running:
        done = attach(running.pid)

    header, *lines, empty, sums = done.stdout.splitlines()
    assert done.returncode == Exit.OK
    assert header.split() == ["PROCESS", "PID", "FD", "LOCAL", "REMOTE", "BEFORE", "NOW"]
    assert sorted(line.split()[-2:] for line in lines) == [
        ["60:75:9", "45:15:9"],
        ["off", "45:15:9"],
        ["off", "45:15:9"],
    ]
    assert {line.split()[1] for line in lines} == {str(running.pid)}
    assert (empty, sums) == ("", "3 TCP sockets: 3 changed, 0 left as they were")


@pytest.mark.parametrize(
    ("columns", "header"),
    [
        (80, ["PROCESS PID FD LOCAL REMOTE", "BEFORE NOW"]),
        (66, ["PROCESS PID FD", "LOCAL REMOTE", "BEFORE NOW"]),
    ],
)
def test_a_narrow_terminal_breaks_no_word(
    columns: int, header: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done has a line of its own; the ends as well, where there is less room."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with program("hold") as running:
        main(["attach", str(running.pid), "--policy", "20:10:5"])
        capsys.readouterr()
        main(["attach", str(running.pid)])
    lines = capsys.readouterr().out.splitlines()

    each = len(header)
    assert [" ".join(line.split()) for line in lines[:each]] == header
    assert lines[2 * each - 1].endswith("20:10:5; its own keepalive is at least as eager")
    assert len(lines) == each * 4 + 2
    assert max(len(line) for line in lines if "eager" not in line) <= columns


def test_as_json() -> None:
    """The fields that the design names."""
    with program("hold", "60") as running:
        attach(running.pid, "--policy", "30:10:5")
        document = json.loads(attach(running.pid, "--policy", "60:20:9:120", "--json").stdout)

    settings = {"keepalive": True, "idle": 30, "interval": 10, "count": 5, "user_timeout": None}
    assert document["schema"] == 1
    assert document["refused"] == []
    assert len(document["sockets"]) == 3
    for row in document["sockets"]:
        assert row.keys() == {"pid", "fd", "local", "remote", "before", "after", "error"}
        assert (row["pid"], row["error"]) == (running.pid, None)
        assert row["before"] == settings
        assert row["after"] == {
            "keepalive": True,
            "idle": 60,
            "interval": 20,
            "count": 9,
            "user_timeout": 120.0,
        }
    assert [row["remote"] for row in document["sockets"]].count(None) == 1


def test_what_is_left_alone_says_so() -> None:
    """The default policy does not lower what is better."""
    with program("hold") as running:
        attach(running.pid, "--policy", "20:10:5")
        done = attach(running.pid)

    assert done.stdout.count("20:10:5; its own keepalive is at least as eager") == 3
    assert done.stdout.endswith("3 TCP sockets: 0 changed, 3 left as they were\n")


def test_nothing_to_attach_to() -> None:
    """That is no error."""
    with program("wait") as running:
        done = attach(running.pid)

    assert done.returncode == Exit.OK
    assert done.stdout == "0 TCP sockets: nothing to protect yet; --follow waits for it\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((NOBODY,), f"there is no process {NOBODY}"),
        ((os.getpid(), "--policy", "60:15"), "is not a policy"),
        ((os.getpid(), "--policy", "99999:15:9"), "outside what Linux takes"),
        ((0,), "there is no process 0"),
        ((-5,), "there is no process -5"),
        (((1 << 32) + os.getpid(),), "there is no process"),
        (("curl",), "argument PID: a process number, not 'curl': pidof curl finds it"),
        ((), "required: PID"),
    ],
)
def test_a_command_line_that_makes_no_sense(arguments: tuple[object, ...], says: str) -> None:
    """Exit code 2, a sentence, and nothing done."""
    done = attach(*arguments)

    assert done.returncode == Exit.USAGE
    assert says in done.stderr
    assert done.stdout == ""


def test_one_that_is_not_there_stops_all() -> None:
    """Rather than doing half of what was asked."""
    with program("hold") as running:
        done = attach(running.pid, NOBODY)
        after = read_process(running.pid)

    assert done.returncode == Exit.USAGE
    assert {state.enabled for state in after.values()} == {False}


_CALL = """
import keptalive.cli.main as frame
sys.stderr = sys.stdout
print("exit", int(frame.main({})))
"""


def test_refused() -> None:
    """Exit code 4, the cause, and what would help; for programs as an object."""
    require(os.geteuid() == 0, "becoming somebody else needs root")
    with program("hold") as running:
        text = confined(_CALL.format(["attach", str(running.pid)]), user=USER)
        said = confined(_CALL.format(["attach", str(running.pid), "--json"]), user=USER)

    assert "it belongs to user root\n  run it as root, or as that user\n" in text
    assert text.endswith(f"exit {int(Exit.FORBIDDEN)}\n")
    error = json.loads(said.rpartition("exit")[0])
    assert error["schema"] == 1
    assert "it belongs to user root" in error["error"]
    assert error["hint"] == "run it as root, or as that user"


def test_following_what_may_not_be_reached_ends_at_once() -> None:
    """Though it has descendants that may be: what is not named is no reason to stay."""
    require(os.geteuid() == 0, "becoming somebody else needs root")
    with program("hold", user=USER) as child:
        said = confined(_CALL.format(["attach", "--follow", str(os.getpid())]), user=USER)
        as_json = confined(_CALL.format(["attach", "--follow", "--json", str(os.getpid())]), user=USER)
        after = read_process(child.pid)

    assert said.count("may not reach") == 1
    assert said.endswith(f"exit {int(Exit.FORBIDDEN)}\n")
    assert "may not reach" in json.loads(as_json.rpartition("exit")[0])["error"]
    assert {state.enabled for state in after.values()} == {False}


def test_refused_by_one_of_two() -> None:
    """The other one is attached to; the exit code says that something was not permitted."""
    require(os.geteuid() == 0, "becoming somebody else needs root")
    with program("hold") as theirs, program("hold", user=USER) as mine:
        arguments = ["attach", str(theirs.pid), str(mine.pid)]
        said = confined(_CALL.format([*arguments, "--json"]), user=USER)
        after = read_process(mine.pid)

    document = json.loads(said.rpartition("exit")[0])
    assert [row["pid"] for row in document["sockets"]] == [mine.pid] * 3
    assert [(one["pid"], one["hint"]) for one in document["refused"]] == [
        (theirs.pid, "run it as root, or as that user")
    ]
    assert {state.enabled for state in after.values()} == {True}
    assert said.endswith(f"exit {int(Exit.FORBIDDEN)}\n")


def test_an_old_kernel() -> None:
    """Exit code 3."""
    with program("hold") as running:
        said = confined(f"forbid(438, {errno.ENOSYS})\n" + _CALL.format(["attach", str(running.pid)]))

    assert "pidfd_getfd needs Linux 5.6" in said
    assert (
        str(int(Exit.UNSUPPORTED)) in said.rpartition("exit")[2]
        or "UNSUPPORTED" in said.rpartition("exit")[2]
    )


def test_what_could_not_be_set() -> None:
    """MPTCP has no user timeout: the rest is set, and exit code 1."""
    try:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError as error:
        require(False, f"MPTCP: {error}")
    with listener, program("wait", inherit=[listener]) as running:
        done = attach(running.pid, "--policy", "60:15:9:30")
        (row,) = json.loads(attach(running.pid, "--policy", "60:15:9:30", "--json").stdout)["sockets"]

    assert done.returncode == Exit.PROBLEM
    assert "60:15:9; user_timeout: the kernel refused 30" in done.stdout
    assert done.stdout.endswith("1 TCP socket: 1 changed, 0 left as they were, 1 failed\n")
    assert row["error"].startswith("user_timeout: the kernel refused 30")


def test_a_hostile_name_reaches_no_terminal() -> None:
    """What would act on a terminal is written out."""
    with program("named", "\x1b[31m\x9b2J\n") as running:
        done = attach(running.pid)

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout)
    assert "\\x1b[31m" in done.stdout


def _follow(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--follow", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _until(following: subprocess.Popen[str], wanted: Any) -> dict[str, Any]:
    """Read looks until there is a socket that is *wanted*; return that."""
    assert following.stdout is not None
    for line in following.stdout:
        for row in json.loads(line)["sockets"]:
            if wanted(row):
                return row  # type: ignore[no-any-return]
    pytest.fail("the program was not followed to there")


def test_following_to_the_end() -> None:
    """New sockets and children are protected until the program ends; then keptalive does."""
    with program("obey") as running, _follow(running.pid, "--json") as following:
        assert following.stdout is not None
        _until(following, lambda row: row["remote"] is None)
        descriptor = int(running.tell("connect"))
        late = _until(following, lambda row: row["fd"] == descriptor and row["pid"] == running.pid)
        child = int(running.tell("start"))
        theirs = _until(following, lambda row: row["pid"] == child)
        protected = read_process(child)
        running.tell("end")
        following.stdout.read()

        assert following.wait(30) == Exit.OK
    assert (late["before"]["keepalive"], late["after"]["idle"]) == (False, 45)
    assert theirs["after"]["keepalive"]
    assert {state.enabled for state in protected.values()} == {True}


def test_following_as_text_until_ctrl_c() -> None:
    """What it waits for is said, the sums at the end; what was set stays set."""
    with program("obey") as running, _follow(running.pid, "--policy", "60:20:9") as following:
        assert following.stdout is not None
        assert following.stderr is not None
        running.tell("connect")
        lines = [following.stdout.readline() for _ in range(4)]
        said = following.stderr.readline()
        following.send_signal(signal.SIGINT)
        rest = following.stdout.read()

        assert following.wait(30) == Exit.INTERRUPTED
        assert {state.idle for state in read_process(running.pid).values()} == {60}
    assert lines[0].startswith("PROCESS")
    assert all(" 60:20:9" in line for line in lines[1:])
    assert said.startswith("Following until the program ends: TCP sockets, shown as they come. Ctrl-C ")
    assert "TCP sockets: " in rest


def test_following_survives_being_killed() -> None:
    """The program goes on, and what was set stays set."""
    with program("obey") as running, _follow(running.pid, "--json") as following:
        _until(following, lambda row: row["remote"] is None)
        following.kill()
        following.wait(30)

        assert {state.enabled for state in read_process(running.pid).values()} == {True}
        assert int(running.tell("connect")) > 0
