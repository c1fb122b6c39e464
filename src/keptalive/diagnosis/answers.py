"""The bodies of the answers, kept until it is known which one is whole; then one of them goes to a file.

Rule: nothing is written where nothing was asked for, and the file is touched only once an answer is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from keptalive.errors import BadInput
from keptalive.output_file import refuse_unwritable

_IN_MEMORY = 1 << 20  # bytes of an answer that are kept before a file takes them


class Answers:
    """What the arms were answered; nothing without a file to keep it in."""

    def __init__(self, output: str | None) -> None:
        """Refuse now what would be found out after the wait. Raises BadInput."""
        if output is not None:
            refuse_unwritable(output, "the answer")
        self._output = None if output is None else Path(output)
        self._bodies: dict[bool, IO[bytes]] = {}

    def sink(self, *, held: bool) -> Callable[[bytes], None] | None:
        """Return what takes one arm's body; what it took before is forgotten."""
        if self._output is None:
            return None
        if held in self._bodies:
            self._bodies[held].close()
        body = self._bodies[held] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

        def sink(data: bytes) -> None:
            body.write(data)

        return sink

    def save(self, *, held: bool) -> None:
        """Write one arm's body to the file. Raises BadInput if that fails."""
        if self._output is None or held not in self._bodies:
            return
        body = self._bodies[held]
        body.seek(0)
        try:
            with self._output.open("wb") as file:
                shutil.copyfileobj(body, file)
        except OSError as error:
            raise BadInput(f"the answer cannot be written to {self._output}: {error.strerror}") from error

    def close(self) -> None:
        """Forget them."""
        for body in self._bodies.values():
            body.close()
        self._bodies.clear()
