"""A file that a user named for something to be written to: can it be, said before the work that fills it.

Rule: one sentence for every verb, and nothing is created or touched.
"""

from __future__ import annotations

import os
import stat

from keptalive.errors import BadInput


def refuse_unwritable(name: str, what: str, *, replaced: bool = False) -> None:
    """Raise BadInput if *what*, "the report", cannot be written to the file *name*.

    replaced: a new file takes the place of the old one, so the folder counts, and only a regular file may go.
    """
    if name == "-":
        raise BadInput(f"{what} goes into a file, not to stdout: ./- is one that is called that")
    place = os.path.realpath(name) if replaced else name  # what a link leads to is replaced, not the link
    reason = _why_not(place, replaced=replaced)
    if reason is not None:
        raise BadInput(f"{what} cannot be written to {name}: {reason}")


def _why_not(name: str, *, replaced: bool) -> str | None:
    folder = os.path.dirname(name) or "."  # noqa: PTH120  # pathlib takes 8 ms to import
    try:
        kind = stat.S_IFMT(os.stat(name or ".").st_mode)  # noqa: PTH116
    except FileNotFoundError:
        return _why_not_in(folder)
    except OSError as error:
        return _refused(folder, error)
    if kind == stat.S_IFDIR:
        return "it is a folder"
    if replaced:
        not_regular = "it is no regular file, and would be replaced by one"
        return not_regular if kind != stat.S_IFREG else _why_not_in(folder)
    return None if os.access(name, os.W_OK) else "this user may not write to that file"


def _why_not_in(folder: str) -> str | None:
    try:
        os.stat(folder)  # noqa: PTH116
    except OSError as error:
        return _refused(folder, error)
    return None if os.access(folder, os.W_OK | os.X_OK) else f"this user may not write to the folder {folder}"


def _refused(folder: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"this user may not enter the folder {folder}"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"there is no folder {folder}"
    return error.strerror or str(error)
