"""Programs nobody can change, behind a firewall that forgets: plain, under `run`, after `attach`; a script.

    python scenario.py DIRECTORY    with the compiled programs in DIRECTORY; prints
                                    {"uid": …, "outcomes": {"wget, plain": "lost", …}} or {"refused": …}

Every program asks for an answer that is later than the firewall's memory, all at once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab
from keptalive.policy import Policy

IDLE_TIMEOUT = 5
ANSWER_AFTER = 10
#: Seconds beyond the time of the answer after which a program counts as lost.
GRACE = 4.0
#: For what is sure to come, however busy the machine.
PATIENCE = 60.0

PROGRAMS = Path(__file__).parent / "programs"
POLICY = str(Policy.for_idle_timeout(IDLE_TIMEOUT))
KEPTALIVE = [sys.executable, "-m", "keptalive"]
RUN = [*KEPTALIVE, "run", "--policy", POLICY, "--"]


def clients(compiled: Path) -> dict[str, list[str]]:
    """Return the programs of this machine, as commands that lack the URL."""
    commands = {
        "wget": ["wget", "--quiet", "--output-document=-", "--tries=1"],
        "node": ["node", str(PROGRAMS / "client.js")],
        "java": ["java", "-XX:TieredStopAtLevel=1", "-cp", str(compiled), "Client"],
        "go": [str(compiled / "client")],
        "curl": ["curl", "--silent", "--no-keepalive"],
        "python": [sys.executable, str(PROGRAMS / "client.py")],
    }
    return {name: command for name, command in commands.items() if shutil.which(command[0])}


class Arm(threading.Thread):
    """One program, started one way."""

    def __init__(self, lab: Lab, name: str, command: list[str], how: str) -> None:
        super().__init__(name=f"{name}, {how}")
        self.lab, self.key = lab, f"{name}-{how}"
        url = f"{lab.url}/sleep/{ANSWER_AFTER}?key={self.key}"
        self.command = [*(RUN if how == "run" else []), *command, url]
        self.attached = how == "attach"
        self.ready = threading.Event()  # it has asked, and was attached to
        self.outcome = "not run"

    def run(self) -> None:
        with self.lab.popen(self.command, stdout=subprocess.PIPE, text=True) as program:
            deadline = time.monotonic() + PATIENCE
            while not self.lab.count(self.key) and program.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            asked = time.monotonic()
            if self.attached:
                subprocess.run(
                    [*KEPTALIVE, "attach", "--policy", POLICY, str(program.pid)],
                    stdout=subprocess.DEVNULL,
                    timeout=PATIENCE,
                    check=True,
                )
            self.ready.set()
            try:
                answer, _ = program.communicate(
                    timeout=max(0, asked + ANSWER_AFTER + GRACE - time.monotonic())
                )
            except subprocess.TimeoutExpired:
                program.kill()
                self.outcome = "lost"
                return
        self.outcome = "answered" if answer.endswith("slept 10\n") else f"{program.returncode}: {answer!r}"


class ServerArm(threading.Thread):
    """A plain client, and a server that was started plain or under `run`."""

    def __init__(self, lab: Lab, how: str) -> None:
        super().__init__(name=f"server, {how}")
        self.lab = lab
        server = [sys.executable, str(PROGRAMS / "slow_server.py"), str(ANSWER_AFTER)]
        self.command = [*(RUN if how == "run" else []), *server]
        self.outcome = "not run"

    def run(self) -> None:
        with self.lab.popen_server(
            self.command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
        ) as server:
            assert server.stdout is not None
            host, port = self.lab.reach(int(server.stdout.readline()))
            client = [sys.executable, str(PROGRAMS / "client.py"), f"http://{host}:{port}/"]
            with self.lab.popen(client, stdout=subprocess.PIPE, text=True) as asking:
                try:
                    answer, _ = asking.communicate(timeout=ANSWER_AFTER + GRACE + 2)
                    self.outcome = "answered" if answer == "slept\n" else repr(answer)
                except subprocess.TimeoutExpired:
                    asking.kill()
                    self.outcome = "lost"
            server.kill()


def main() -> None:
    try:
        opened = open_lab(f"idle-drop:{IDLE_TIMEOUT}", "kernel")
    except LabError as error:
        print(json.dumps({"refused": str(error)}))
        return
    with opened as lab:
        commands = clients(Path(sys.argv[1])).items()
        servers = [ServerArm(lab, how) for how in ("plain", "run")]
        together = [Arm(lab, name, command, how) for how in ("plain", "run") for name, command in commands]
        in_turn = [Arm(lab, name, command, "attach") for name, command in commands]
        for arm in (*servers, *together):
            arm.start()
        for arm in together:
            arm.ready.wait(PATIENCE)
        for arm in in_turn:  # to attach in time, on a busy machine
            arm.start()
            arm.ready.wait(PATIENCE)
        arms = [*servers, *together, *in_turn]
        for arm in arms:
            arm.join()
        print(json.dumps({"uid": os.getuid(), "outcomes": {arm.name: arm.outcome for arm in arms}}))


if __name__ == "__main__":
    main()
