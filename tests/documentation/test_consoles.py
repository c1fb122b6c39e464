"""The commands of the how-to pages, typed in the world that the pages tell of, print what the pages show."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from documentation.pages import DOCS, ROOT, Command, File, masked, steps, typed
from keptalive.cli.main import VERBS, verb_parser
from keptalive.errors import LabError
from keptalive.lab import open_lab
from support import clean_environment, missing, require

STAGE = Path(__file__).with_name("stage.py")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


class Scene(NamedTuple):
    """What a page needs, and what of it cannot be taken word for word."""

    fault: str = "idle-drop:3600"
    waiting: tuple[tuple[int, tuple[str, ...]], ...] = ()  # process number, command
    clients: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    instead: Mapping[str, str] = MappingProxyType({})  # command of the page -> what is run
    begins: tuple[str, ...] = ()  # commands whose output begins as the page shows


_CURL = (4711, ("curl", "-s", "--keepalive-time", "60", "http://host.example:8444/wait"))
_WGET = (4712, ("wget", "-q", "-O", "-", "http://host.example:8444/wait"))
_RUN, _URL = "keptalive run", "https://host.example/slow"
_HTTP = "http://host.example:8081/slow"  # neither the certificate nor the port is the matter
_FEW = "--connections 9 --precision 0.1"
_PROBE = "keptalive probe db.example:5432"
_RELAY = "keptalive lab relay --to db.example:5432 --fault azure-lb --speed 60"

SCENES = {
    "find-unprotected-connections": Scene(
        waiting=(_CURL, _WGET),
        instead={
            "keptalive ps --watch --remote :443": "timeout -s INT 3 keptalive ps --watch --remote :443",
        },
    ),
    "measure-a-path": Scene(
        fault="idle-drop:2",  # what the page shows took 270 s
        begins=(_PROBE,),
        # On a terminal the lines of progress are gone in the end.
        instead={
            _PROBE: f"{_PROBE} 2>&1 | grep -v ' left at most$'",
            f"keptalive probe server.example:22 {_FEW}": f"keptalive probe server.example:8022 {_FEW}",
        },
    ),
    "protect-a-program-you-cannot-change": Scene(
        waiting=(_WGET,),
        clients=("java", "make"),
        instead={
            f"{_RUN} -- wget {_URL}": f"{_RUN} -- wget {_HTTP}",
            f"{_RUN} --policy 60:15:9 -- wget {_URL}": f"{_RUN} --policy 60:15:9 -- wget {_HTTP}",
            # The last process may have ended a moment before the file says so.
            "cat run.json": "until grep -q '\"complete\": true' run.json; do sleep 0.1; done; cat run.json",
        },
    ),
    "test-your-client-against-a-firewall": Scene(
        # It runs until it is told to end, and nobody connects to it.
        instead={
            _RELAY: f": >out; {_RELAY} >out 2>&1 & until [ $(wc -l <out) -ge 2 ]; do sleep 0.1; done; "
            "kill $!; wait; head -2 out"
        },
        begins=(_RELAY,),
    ),
    "protect-a-server": Scene(
        waiting=((4713, ("curl", "-s", "http://host.example:8081/wait")),),
        servers=("gunicorn", "java"),
        instead={
            "keptalive run -- python -m http.server": "timeout 3 keptalive run -- python -m http.server",
            "keptalive attach $(pidof nginx)": "keptalive attach $(pidof curl)",
        },
    ),
}


def test_every_page_with_commands_has_its_scene() -> None:
    """No console block is left untried."""
    pages = {page.stem for page in PAGES if any(isinstance(step, Command) for step in steps(page))}

    assert pages - {page.stem for page in (DOCS / "tutorial").glob("*.md")} == SCENES.keys()


@pytest.mark.lab
@pytest.mark.parametrize("name", SCENES)
def test_commands(name: str, tmp_path: Path) -> None:
    """Each command is taken, and prints what the page shows, numbers aside."""
    scene = SCENES[name]
    page = DOCS / "howto" / f"{name}.md"
    commands = [step for step in steps(page) if isinstance(step, Command)]
    files = {step.name: step.text for step in steps(page) if isinstance(step, File)}
    lines = [
        scene.instead.get(line := command.line.partition("  #")[0].strip(), line) for command in commands
    ]
    for command, (output, code) in zip(commands, _played(scene, lines, files, tmp_path), strict=True):
        assert code in (0, 1, 124), (command.line, output)  # 1: found a problem; 124: timeout(1)
        assert "Traceback" not in output
        expected, got = masked("\n".join(command.output)), masked(output)
        if command.line in scene.begins:
            expected = expected[: len(got)]
            assert len(got) >= 2
        if expected:
            assert got == expected, command.line


def _played(scene: Scene, lines: list[str], files: dict[str, str], place: Path) -> list[tuple[str, int]]:
    """Run commands on the stage; return what each printed and its exit code."""
    play = {
        "commands": lines,
        "waiting": scene.waiting,
        "clients": scene.clients,
        "servers": scene.servers,
        "files": files,
    }
    own = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        own.append("--map-root-user")
    try:
        lab = open_lab(scene.fault, "kernel")
    except LabError as error:
        missing(str(error))
    with lab:
        server = lab.popen_server([sys.executable, STAGE, "serve"], stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        with lab.popen(
            [*own, sys.executable, str(STAGE), lab.host],
            cwd=place,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as stage:
            answers, complaint = stage.communicate(json.dumps(play), timeout=110)
        server.stdout.close()
    require("unshare" not in complaint, complaint)
    assert complaint == ""
    return [tuple(json.loads(answer)) for answer in answers.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_is_taken(page: Path) -> None:
    """What any page tells to type is a command line that the parsers know, placeholders aside."""
    for line in typed(page):
        own = line.partition(" | ")[0].replace("PID", "4711").replace("$(pidof ", "4711 #")
        words = shlex.split(own, comments=True)
        assert words[1] in VERBS, line
        verb_parser(words[1]).parse_args(words[2:])
