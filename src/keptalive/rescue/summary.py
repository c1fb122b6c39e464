"""What a run did, for a file: which process was covered, which way; which was not, and why.

Rule: small, and without secrets: processes by name and number, no arguments, no addresses.
The file is replaced whole, so nobody ever reads half of it.
"""

from __future__ import annotations

import json
import os
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SCHEMA = 1

#: Of the processes that have ended the last so many are listed: a server may start thousands a day.
_MOST_ENDED = 500


@dataclass
class Entry:
    """One process that has, or had, TCP sockets."""

    pid: int
    process: str
    way: Literal["outside", "inside"] | None = None
    sockets: int = 0
    changed: int = 0  # of these sockets; the others were as they should be already
    problems: list[str] = field(default_factory=list)
    ended: bool = False

    def trouble(self, problem: str) -> None:
        """Note a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def believe(self) -> None:
        """Note that the process says itself that it is protected."""
        if self.way is None:
            self.way = "inside"
            self.problems.clear()  # why it cannot be reached from outside does not matter


class Summary:
    """What is known of a run, as its file has it. Without a path nothing is written."""

    def __init__(self, path: str | None, policy: str, refusal: str | None) -> None:
        self._path = path
        self._head = {"schema": SCHEMA, "policy": policy, "refusal": refusal}
        #: What went wrong with the follower itself, last.
        self.trouble: str | None = None
        self._living: dict[int, Entry] = {}
        self._ended: deque[Entry] = deque(maxlen=_MOST_ENDED)
        self._count_ended = 0
        self._written: dict[str, Any] = {}

    def entry(self, pid: int, name: str) -> Entry:
        """Return the entry of a process, a new one if it has none yet."""
        entry = self._living.setdefault(pid, Entry(pid, name))
        entry.process = name or entry.process  # an exec gives it another one
        return entry

    def retract(self, pid: int) -> None:
        """Forget that a process is protected from inside."""
        entry = self._living.get(pid)
        if entry is not None and entry.way == "inside":
            del self._living[pid]

    def ended(self, pid: int) -> None:
        """Note that a process has ended."""
        entry = self._living.pop(pid, None)
        if entry is not None:
            entry.ended = True
            self._ended.append(entry)
            self._count_ended += 1

    def write(self, *, complete: bool = False) -> None:
        """Replace the file, if there is anything new. Raises OSError."""
        if self._path is None:
            return
        document = {
            **self._head,
            "complete": complete,
            "trouble": self.trouble,
            "processes": [asdict(entry) for entry in (*self._ended, *self._living.values())],
            "omitted": self._count_ended - len(self._ended),
        }
        if document != self._written:
            self._written = document
            replace(self._path, json.dumps(document, indent=2) + "\n")


def replace(path: str, text: str) -> None:
    """Put a file with this text in the place of *path*. Raises OSError."""
    beside = f"{path}.{os.getpid()}"
    try:
        with open(beside, "w") as stream:  # noqa: PTH123
            stream.write(text)
        os.replace(beside, path)  # noqa: PTH105
    except OSError:
        with suppress(OSError):
            os.unlink(beside)  # noqa: PTH108
        raise
