"""`run` changes nothing but the keepalive: the program cannot tell, and its whole tree is covered."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keptalive.linux import processes
from keptalive.rescue import run as running
from lab.users import as_nobody, python_for_all, world_readable
from support import clean_environment

RUN = [sys.executable, "-m", "keptalive", "run"]
PATIENCE = 30.0

#: Prints all that a program can see of how it was started.
LOOK_AROUND = """
env >variables
grep -v '^_=' variables
pwd
umask
ps -o pid=,ppid=,pgid=,sid=,tty=,ni= -p $$ | sed "s/\\b$$\\b/PID/g"
ls -l /proc/$$/fd >descriptors
sed -e 's/.*[0-9][0-9]:[0-9][0-9] //' -e 's/pipe:.*/a pipe/' descriptors
grep -E 'SigBlk|SigIgn|SigCgt|Seccomp|NoNewPrivs|Cap' /proc/self/status
grep -v -E 'realtime timeout' /proc/self/limits
trap
tr '\\0' ' ' < /proc/$$/cmdline
"""

#: Opens a listener and a connection, waits until both are protected, and says so.
WAIT_FOR_KEEPALIVE = """
import os, socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    held = lambda s: [s.getsockopt(1, 9), *(s.getsockopt(6, o) for o in (4, 5, 6))]
    states = [held(s) for s in (listener, client, server)]
    if all(on for on, *_ in states):
        break
    time.sleep(0.02)
print(states, flush=True)
"""
PROTECTED = str([[1, 45, 15, 9]] * 3) + "\n"


def run(*command: str, options: tuple[str, ...] = (), **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command under `keptalive run` to its end."""
    argv = [*RUN, *options, "--", *command]
    how = {"env": clean_environment(), **how}
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False, **how)


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until *condition* holds, and return what it then returned."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def followers(token: str) -> list[int]:
    """Return the followers of a run with *token* in its command line, which is theirs, too."""
    found = []
    for pid in processes.pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
            if token in command and "keptalive" in command and os.getsid(pid) == pid:
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    "how", ["as it is", "without a locale", "with signals ignored", "with descriptors closed"]
)
def test_the_program_is_started_as_without(how: str, tmp_path: Path) -> None:
    """Environment, descriptors, signals, limits, process group, session: all as without, but for the mark."""
    environment = clean_environment()
    prefix = {
        "with signals ignored": "trap '' INT QUIT HUP; ",
        "with descriptors closed": "exec 0<&- 7</dev/null; ",
    }
    if how == "without a locale":
        environment = {k: v for k, v in environment.items() if not k.startswith(("LC_", "LANG"))}
    script = tmp_path / "look_around.sh"
    script.write_text(LOOK_AROUND)
    seen = []
    for wrapper in ("", f"{' '.join(RUN)} -- "):
        command = f"{prefix.get(how, '')}exec {wrapper}sh {script}"
        with subprocess.Popen(
            ["sh", "-c", command], env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE
        ) as program:
            text, _ = program.communicate(timeout=PATIENCE)
        seen.append("\n".join(" ".join(line.split()) for line in text.splitlines()))

    assert seen[0] == seen[1]
    assert "SigIgn" in seen[0]


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_codes(code: int) -> None:
    """The program's own."""
    assert run("sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize(
    "number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGPIPE]
)
def test_a_program_ended_by_a_signal(number: signal.Signals) -> None:
    """Is seen to be ended by it, whoever sends it: the process is the program."""
    assert run("sh", "-c", f"kill -{int(number)} $$").returncode == -number
    with subprocess.Popen(
        [*RUN, "--", "sh", "-c", "echo ready; exec sleep 60"], stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        program.send_signal(number)
        assert program.wait(PATIENCE) == -number


CLOSES_ALL = """
import os, sys, time
sys.stdout.write(sys.stdin.read())
sys.stderr.write("to stderr")
sys.stdout.flush()
sys.stderr.flush()
for descriptor in (1, 2, int(sys.argv[1])):
    os.close(descriptor)
time.sleep(60)
"""


def test_pipes_pass_through_and_end_when_the_program_closes_them() -> None:
    """keptalive holds no descriptor: readers get their end of file while the program still runs."""
    reading, writing = os.pipe()
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [*RUN, "--", sys.executable, "-c", CLOSES_ALL, str(writing)]
    with subprocess.Popen(command, **pipes, pass_fds=[writing], text=True) as program:
        os.close(writing)
        out, err = program.stdout, program.stderr
        assert program.stdin is not None and out is not None and err is not None
        program.stdin.write("through the pipe")
        program.stdin.close()

        assert (out.read(), err.read(), os.read(reading, 1)) == ("through the pipe", "to stderr", b"")
        assert program.poll() is None
        os.close(reading)
        program.kill()


def test_a_program_that_cannot_be_run() -> None:
    """127 if there is none, 126 if it cannot be executed, and a sentence; no follower is left."""
    token = f"no-such-program-{os.getpid()}"
    missing = run(token)
    refused = run("/dev/null")

    assert (missing.returncode, missing.stderr) == (
        127,
        f"keptalive: {token} cannot be run: No such file or directory\n",
    )
    assert (refused.returncode, refused.stderr) == (
        126,
        "keptalive: /dev/null cannot be run: Permission denied\n",
    )
    assert eventually(lambda: not followers(token))


def test_a_script_without_an_interpreter_line(tmp_path: Path) -> None:
    """Is handed to sh, as every shell does."""
    script = tmp_path / "script"
    script.write_text("echo $0 $*; exit 3\n")
    script.chmod(0o755)
    done = run("script", "a", "b", env={**clean_environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"})

    assert (done.returncode, done.stdout) == (3, f"{script} a b\n")


def test_switched_off() -> None:
    """KEPTALIVE_POLICY=off: the program is started, and that is all."""
    token = f"off-{os.getpid()}"
    environment = {**clean_environment(), "KEPTALIVE_POLICY": "off"}
    command = ["sh", "-c", "grep 'realtime timeout' /proc/self/limits; exec sleep 60", token]
    with subprocess.Popen(
        [*RUN, "--", *command], env=environment, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().split()[3] == "unlimited"
        assert followers(token) == []
        program.kill()


def test_connections_and_listeners_are_protected() -> None:
    """What the program opens, what it listens on, and what it accepts; lost is the control without."""
    done = run(sys.executable, "-c", WAIT_FOR_KEEPALIVE)
    plain = subprocess.run(
        [sys.executable, "-c", WAIT_FOR_KEEPALIVE.replace("+ 20", "+ 1")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.returncode, done.stdout) == (0, PROTECTED)
    assert plain.stdout == str([[0, 7200, 75, 9]] * 3) + "\n"


def test_a_policy_is_set_exactly() -> None:
    """Also where the program has set less before, or sets its own after it has connected."""
    code = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
eager = socket.create_connection(listener.getsockname())
late = socket.create_connection(listener.getsockname())
for option, value in ((4, 5), (5, 5)):
    eager.setsockopt(6, option, value)
eager.setsockopt(1, 9, 1)
deadline = time.monotonic() + 20
while not late.getsockopt(1, 9) and time.monotonic() < deadline:
    time.sleep(0.02)
late.setsockopt(6, 4, 7000)
held = lambda s: [s.getsockopt(1, 9), *(s.getsockopt(6, o) for o in (4, 5, 6, 18))]
while (held(late)[1] == 7000 or held(eager)[1] == 5) and time.monotonic() < deadline:
    time.sleep(0.02)
print(held(eager), held(late))
"""
    done = run(sys.executable, "-c", code, options=("--policy", "60:20:7:300"))

    assert done.stdout == f"{[1, 60, 20, 7, 300000]} {[1, 60, 20, 7, 300000]}\n"


def test_the_default_policy_leaves_better_settings_alone() -> None:
    """And replaces worse ones: keepalive that is on with the system's two hours, as psql has it, is none."""
    code = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
better, psql = (socket.create_connection(listener.getsockname()) for _ in range(2))
for option, value in ((4, 10), (5, 10), (6, 3)):
    better.setsockopt(6, option, value)
for s in (better, psql):
    s.setsockopt(1, 9, 1)
held = lambda s: [s.getsockopt(1, 9), *(s.getsockopt(6, o) for o in (4, 5, 6))]
deadline = time.monotonic() + 20
while held(psql)[1] == 7200 and time.monotonic() < deadline:
    time.sleep(0.02)
print(held(better), held(psql))
"""
    done = run(sys.executable, "-c", code)

    assert done.stdout == f"{[1, 10, 10, 3]} {[1, 45, 15, 9]}\n"


DAEMON = f"""
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.execve(sys.executable, [sys.executable, "-E", "-c", {WAIT_FOR_KEEPALIVE!r}], {{}})
"""


def test_daemons_are_followed(tmp_path: Path) -> None:
    """Forked twice, in a session of their own, with no environment, faster than anybody can look."""
    summary = tmp_path / "summary.json"
    done = run(sys.executable, "-c", DAEMON, options=("--summary", str(summary)))

    assert (done.returncode, done.stdout) == (0, PROTECTED)
    assert eventually(lambda: summary.exists() and json.loads(summary.read_text())["complete"])


def test_threads_children_and_forks() -> None:
    """Whoever in the tree opens a connection: it is protected."""
    code = f"""
import os, subprocess, sys, threading
worker = threading.Thread(target=exec, args=({WAIT_FOR_KEEPALIVE!r}, {{}}))
worker.start()
worker.join()
subprocess.run([sys.executable, "-c", {WAIT_FOR_KEEPALIVE!r}], check=True)
if os.fork() == 0:
    exec({WAIT_FOR_KEEPALIVE!r}, {{}})
    os._exit(0)
os.wait()
"""
    assert run(sys.executable, "-c", code).stdout == 3 * PROTECTED


def test_the_follower_ends_with_the_tree() -> None:
    """Neither before the last daemon, nor after."""
    token = f"last-{os.getpid()}"
    daemon = "setsid sh -c 'echo $$; exec sleep 60' & "
    with subprocess.Popen(
        [*RUN, "--", "sh", "-c", daemon, token], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        assert program.wait(PATIENCE) == 0
        (follower,) = followers(token)
        time.sleep(1)
        assert followers(token) == [follower]
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not followers(token))


def test_the_follower_leaves_the_program_alone() -> None:
    """It is no child, in no session, process group or folder of the program's, and deaf to its signals."""
    token = f"alone-{os.getpid()}"
    command = [*RUN, "--", "sh", "-c", "exec sleep 60", token]
    with subprocess.Popen(command, cwd="/tmp", stdin=subprocess.PIPE) as program:
        (pid,) = eventually(lambda: followers(token))
        where = Path(f"/proc/{pid}")
        assert eventually(lambda: (where / "cwd").readlink() == Path("/"))
        for number in running._NOT_FOR_THE_FOLLOWER:
            os.kill(pid, number)
        standard = {str((where / "fd" / descriptor).readlink()) for descriptor in "012"}
        others = {str(entry.readlink()).partition(":")[0] for entry in (where / "fd").iterdir()}

        assert Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text() == ""
        assert os.getpgid(pid) == os.getsid(pid) == pid
        assert standard == {"/dev/null"}
        assert "pipe" not in others
        assert followers(token) == [pid]
        program.kill()
    assert eventually(lambda: not followers(token))


def test_a_process_that_hides_is_named() -> None:
    """An ordinary user may not look into one that is not dumpable; the others are protected."""
    with tempfile.TemporaryDirectory() as name:
        shared = world_readable(Path(name))
        shared.chmod(0o777)
        summary = shared / "summary.json"
        hide = f"import ctypes; ctypes.CDLL(None).prctl(4, 0); {WAIT_FOR_KEEPALIVE.replace('+ 20', '+ 1')}"
        code = (
            "import subprocess, sys;"
            f"subprocess.run([sys.executable, '-c', {hide!r}], check=True);"
            f"subprocess.run([sys.executable, '-c', {WAIT_FOR_KEEPALIVE!r}], check=True)"
        )
        python = python_for_all()
        done = subprocess.run(
            [python, "-m", "keptalive", "run", "--summary", str(summary), "--", python, "-c", code],
            env={**clean_environment(), "PYTHONPATH": str(shared)},
            cwd=shared,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            **as_nobody(),
        )
        hidden, protected = done.stdout.splitlines(keepends=True)
        assert eventually(lambda: json.loads(summary.read_text())["complete"])
        entries = json.loads(summary.read_text())["processes"]

    assert (hidden, protected) == (str([[0, 7200, 75, 9]] * 3) + "\n", PROTECTED)
    assert sorted(entry["way"] or "" for entry in entries) == ["", "outside"]
    (problem,) = (problem for entry in entries for problem in entry["problems"])
    assert "not dumpable" in problem


def test_no_more_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """If there can be no follower, start_follower says so, and nothing was changed."""
    environment = {b"A": b"b"}

    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(BlockingIOError):
        running.start_follower(environment)

    assert environment == {b"A": b"b"}
