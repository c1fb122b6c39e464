"""The transport that puts aiohttp under httpx: what DefaultAioHttpClient of openai and anthropic uses.

Rule: known by its shape (`client`, `get_client()`), because the SDKs ship copies of
the package httpx-aiohttp under their own names. The transport makes its session
when it is first used; each session it gets is held like any other.
"""

from __future__ import annotations

from typing import Any

from keptalive.clients import aiohttp
from keptalive.cover import Cover
from keptalive.seams import hand_on, put_cover


def hold(target: Any, cover: Cover) -> None:
    """Cover the session that the transport has, and the one that it will make."""
    put_cover(target, cover)
    hand_on(target, "get_client", _hold_session)
    _hold_session(target.client, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of the session's open connections."""
    return aiohttp.sockets(target.client) if aiohttp.serves(target.client) else []


def _hold_session(session: Any, cover: Cover) -> None:
    if aiohttp.serves(session):
        aiohttp.hold(session, cover)
