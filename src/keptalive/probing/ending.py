"""End tasks for certain.

Rule: nothing goes on once this has returned. Before Python 3.12 asyncio.wait_for() may lose a cancellation
that comes together with its result; so a task that was cancelled and goes on is cancelled again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN = 1.0  # s


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel *tasks* until all have ended; what they raise is theirs."""
    going = {task for task in tasks if not task.done()}
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=_AGAIN)
