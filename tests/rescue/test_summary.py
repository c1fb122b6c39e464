"""The file that tells what a run did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keptalive.rescue import summary as module
from keptalive.rescue.summary import Summary


def read(path: Path) -> dict[str, Any]:
    """Return what is in the file."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_what_is_in_it(tmp_path: Path) -> None:
    """Living processes, then ended ones, with a schema's number; nothing beside it is left in the folder."""
    path = tmp_path / "summary.json"
    summary = Summary(str(path), "45:15:9", None)
    entry = summary.entry(1, "wget")
    entry.way, entry.sockets, entry.changed = "outside", 2, 1
    summary.entry(2, "sudo").trouble("it belongs to root")
    summary.entry(2, "sudo").trouble("it belongs to root")
    summary.ended(1)
    summary.write()

    assert read(path) == {
        "schema": 1,
        "policy": "45:15:9",
        "refusal": None,
        "complete": False,
        "trouble": None,
        "processes": [
            {
                "pid": 1,
                "process": "wget",
                "way": "outside",
                "sockets": 2,
                "changed": 1,
                "problems": [],
                "ended": True,
            },
            {
                "pid": 2,
                "process": "sudo",
                "way": None,
                "sockets": 0,
                "changed": 0,
                "problems": ["it belongs to root"],
                "ended": False,
            },
        ],
        "omitted": 0,
    }
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_written_when_there_is_news(tmp_path: Path) -> None:
    """As a new file each time, so that a reader never sees half of one; and not without a path."""
    path = tmp_path / "summary.json"
    summary = Summary(str(path), "45:15:9", None)
    summary.write()
    first = path.stat().st_ino
    summary.write()
    unchanged = path.stat().st_ino
    held = path.open()
    summary.write(complete=True)

    assert first == unchanged != path.stat().st_ino
    assert json.load(held)["complete"] is False
    assert read(path)["complete"] is True
    held.close()
    Summary(None, "45:15:9", None).write(complete=True)


def test_of_many_that_ended_the_last_are_listed(tmp_path: Path) -> None:
    """And the others counted."""
    path = tmp_path / "summary.json"
    summary = Summary(str(path), "45:15:9", None)
    for pid in range(module._MOST_ENDED + 7):
        summary.entry(pid, "cgi")
        summary.ended(pid)
    summary.ended(10**6)  # one that had no sockets
    summary.write()

    assert (len(read(path)["processes"]), read(path)["omitted"]) == (module._MOST_ENDED, 7)
    assert read(path)["processes"][0]["pid"] == 7


def test_protected_from_inside(tmp_path: Path) -> None:
    """Clears what kept others out; is taken back when the process becomes another program."""
    path = tmp_path / "summary.json"
    summary = Summary(str(path), "45:15:9", "a filter")
    entry = summary.entry(1, "python")
    entry.trouble("out of reach")
    entry.believe()
    reached = summary.entry(2, "python")
    reached.way = "outside"
    reached.believe()

    assert [(one.way, one.problems) for one in (entry, reached)] == [("inside", []), ("outside", [])]
    for pid in (1, 2, 3):
        summary.retract(pid)
    summary.write()
    assert [one["pid"] for one in read(path)["processes"]] == [2]
