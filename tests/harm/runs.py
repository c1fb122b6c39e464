"""One run of one part, in a world of its own: loopback works, everything else is a black hole.

Rule: nothing leaves the machine, nothing outlives the run. The part gets its own network namespace (so
no two parts meet on a port), folder, session and environment; what differs between two runs is the
switch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

from harm.outcomes import parse
from harm.suites import Part

HERE = Path(__file__).resolve().parent
PATIENCE = 1500  # seconds for a part
_OUR_OWN = ("KEPTALIVE_", "PYTEST_", "PYTHON")
_FOREIGN = ("CI", "COLUMNS", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")

# Names are refused at once, as by a machine without a resolver. Other addresses take packets and never
# answer, as those do that some tests connect to in order to see a time-out.
_WORLD = """
set -e
ip link set lo up
mount --bind "$1" /etc/resolv.conf
ip link add nowhere type veth peer name beyond
ip address add 192.0.2.1/24 dev nowhere
ip link set nowhere up
ip link set beyond up
ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev nowhere
ip route add default via 192.0.2.2
shift
exec "$@"
"""


_KEPTALIVE = f"""
import sys
sys.path.insert(0, {str(HERE.parents[1] / "src")!r})
from keptalive.cli.main import main
sys.exit(main())
"""

_running: set[subprocess.Popen[bytes]] = set()
_over = threading.Event()  # no more is to be started
_starting = threading.Lock()


@dataclass(frozen=True)
class Run:
    """What came of one run."""

    outcomes: dict[str, str]
    held: int  # connections that the kernel held with keepalive on
    log: str


def run(part: Part, switch: str) -> Run:
    """Run *part* with the switch at "plain", "run" (as a child of `keptalive run`), or a word of its own."""
    with tempfile.TemporaryDirectory(prefix="harm-") as name:
        folder = Path(name)
        report, log, witness = folder / "report.xml", folder / "log", folder / "witness"
        witness.mkdir()
        place = part.folder or folder / "cwd"
        place.mkdir(exist_ok=True)
        summary = folder / "summary.json"
        keptalive = [sys.executable, "-c", _KEPTALIVE, "run", "--summary", str(summary), "--"]
        command = [*_world(folder), *(keptalive if switch == "run" else ()), *part.command(report)]
        ended = _execute(command, place, _environment(folder, switch), log)
        text = log.read_text(errors="replace")
        try:
            outcomes = parse(report.read_text())
        except (OSError, ParseError):  # ended before it could write, which the next line tells
            outcomes = {}
        outcomes[part.whole] = ended
        held = sum(int(file.read_text() or 0) for file in witness.iterdir())
        if summary.exists():
            held = sum(entry["sockets"] for entry in json.loads(summary.read_text())["processes"])
    return Run(outcomes, held, text)


def _execute(command: list[str], place: Path, environment: dict[str, str], log: Path) -> str:
    """Run a command to its end, or to the end of our patience; say how it ended."""
    with log.open("wb") as output, _starting:
        if _over.is_set():
            raise InterruptedError("runs have been ended")
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _running.add(process)
    done = _wait(process)
    _end(process)
    return f"exit {process.returncode}" if done else f"not done after {PATIENCE} s"


def _wait(process: subprocess.Popen[bytes]) -> bool:
    """Wait until a process has ended, without letting go of its number; False if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return True
        time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what a part has left running in its session, itself included."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _running.discard(process)


def end_all() -> None:
    """End the parts that are running, in sessions that no Ctrl-C reaches, and start no more."""
    with _starting:
        _over.set()
    for process in tuple(_running):
        _end(process)


def _world(folder: Path) -> list[str]:
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", "--mount", *rights, "sh", "-c", _WORLD, "world", str(resolver)]


def _environment(folder: Path, switch: str) -> dict[str, str]:
    """Return the environment of a run: this one, without what would change a test."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OUR_OWN) and name not in _FOREIGN and not name.lower().endswith("_proxy")
    }
    temporary = folder / "tmp"
    temporary.mkdir()
    return {
        **kept,
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(HERE / "switch"),
        "KEPTALIVE_HARM": f"{switch} {folder / 'witness'}",
    }


def possible() -> str | None:
    """Return why runs cannot be kept apart from the network here, None if they can."""
    with tempfile.TemporaryDirectory(prefix="harm-") as name:
        try:
            done = subprocess.run(
                [*_world(Path(name)), sys.executable, "-c", ""],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except OSError as error:
            return str(error)
    return done.stderr.strip() or f"exit {done.returncode}" if done.returncode else None
