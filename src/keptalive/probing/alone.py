"""For functions that run an event loop of their own: refuse where one is running already.

Rule: before anything is opened or begun, with the way that there is instead.
"""

from __future__ import annotations

import asyncio


def refuse_inside_a_loop(name: str, session: str) -> None:
    """Raise RuntimeError, as asyncio.run() would, inside a loop; *session*: what may be awaited there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"keptalive.{name}() runs an event loop of its own, and one is running here: await "
        f"asyncio.to_thread(keptalive.{name}, ...), or await {session}(...).run(), which can be cancelled"
    )
