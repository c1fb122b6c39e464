"""A request that its client has sent twice, of whose first try the exception says nothing.

aiohttp sends what may be repeated a second time by itself when the connection is lost (RFC 9112, 9.3.1), on a
new one, and lets go of the first error: only a variable of its request() knows that there was one.

Rule: the only place that looks at the variables of a frame; where they are not as expected, it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType

from keptalive.diagnosis.exception_chain import chain


def tried_before(error: BaseException) -> bool:
    """Tell whether an earlier connection of the same request was lost, without a trace in *error*."""
    return any(_is_aiohttps_second_try(frame) for link in chain(error) for frame in _frames(link.error))


def _is_aiohttps_second_try(frame: FrameType) -> bool:
    """aiohttp 3.11 to 3.14 has a variable that is true as long as the request may be repeated."""
    if frame.f_globals.get("__name__") != "aiohttp.client" or frame.f_code.co_name != "_request":
        return False
    known = frame.f_locals
    history = known.get("history")  # redirects: what was a POST and is a GET now is not repeated
    method = getattr(history[0], "method", None) if history else known.get("method")
    repeatable = method in frame.f_globals.get("IDEMPOTENT_METHODS", ())
    allowed = getattr(known.get("self"), "_retry_connection", False) is True
    return bool(repeatable and allowed and known.get("retry_persistent_connection") is False)


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
