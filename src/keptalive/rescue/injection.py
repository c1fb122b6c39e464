"""Python programs of a run protect themselves from inside, where sockets may not be reached from outside.

Rule: through the environment alone, which every child inherits. PYTHONPATH gets a folder in
front, whose one file each Python runs at its start; a variable says what to do. Nothing is
written to any disk.
"""

from __future__ import annotations

import os

#: Holds the follower's address, a blank, and the policy if it is not the default one.
VARIABLE = "KEPTALIVE_RUN"

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "injected")  # noqa: PTH118, PTH120, PTH100


def address(mark: int) -> str:
    """Return where the follower of a run listens: an abstract name (unix(7)), which leaves no file."""
    return f"\0keptalive-run-{mark:x}"


def prepare(environment: dict[bytes, bytes], mark: int, policy: str | None) -> None:
    """Give *environment* what the Python programs of a run need."""
    path = [os.fsencode(_FOLDER), *filter(None, [environment.get(b"PYTHONPATH")])]
    environment[b"PYTHONPATH"] = os.pathsep.encode().join(path)
    environment[VARIABLE.encode()] = f"{address(mark)[1:]} {policy or ''}".rstrip().encode()


def instructions() -> tuple[str, str | None] | None:
    """Return the follower's address and the policy, as this process was told; None if it was told nothing."""
    told = os.environ.get(VARIABLE)
    if not told:
        return None
    where, _, policy = told.partition(" ")
    return f"\0{where}", policy or None
