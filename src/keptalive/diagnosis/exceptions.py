"""explain(): from any client's exception to what happened on the socket.

Rule: pure, and no guess. The kernel's errno counts wherever in the chain it hides, names of classes only
where there is none; what two causes may have made names both, and what nobody can tell is None.
"""

from __future__ import annotations

from dataclasses import dataclass

from keptalive.diagnosis.exception_chain import chain, members
from keptalive.diagnosis.exception_numbers import Cause, Doing, Sign, name_of, sign_in_words
from keptalive.diagnosis.exception_repeats import tried_before
from keptalive.diagnosis.exception_signs import sign
from keptalive.errors import UnknownTarget


@dataclass(frozen=True)
class Explanation:
    """What happened on the socket. As a string it is the sentence."""

    cause: Cause
    what: str  # a sentence
    hint: str  # what to do about it
    keepalive_may_help: bool  # False: surely not
    errno: int | None = None  # the kernel's, where it was found

    @property
    def errno_name(self) -> str | None:
        """The name of the errno, "ETIMEDOUT", or None."""
        return None if self.errno is None else name_of(self.errno)

    def __str__(self) -> str:
        return self.what


def explain(error: BaseException) -> Explanation | None:
    """Return what happened on the socket whose exception this is, or None where it does not tell.

    Takes whatever was caught: exceptions of requests, urllib3, httpx, aiohttp, botocore, openai, anthropic,
    tornado, pycurl, websockets, gRPC, anyio, trio, asyncio and Python itself, bare or wrapped in others.

        try:
            session.get(url)
        except Exception as error:
            print(keptalive.explain(error) or error)

    Raises UnknownTarget (a TypeError) for what is no exception.
    """
    if not isinstance(error, BaseException):
        raise UnknownTarget(f"explain() takes an exception that was caught, not {type(error).__name__}")
    found = _best(error)
    if found is None:
        return None
    what, helps, hint = _words(found)
    if found.number is not None and _claims_a_time_limit(error):
        hint = f"{type(error).__name__} is the client's name for it: no time limit of its own ran out. {hint}"
    if found.cause in MAY_FOLLOW_A_LOSS and tried_before(error):
        what, helps, hint = f"{what}; {TRIED_BEFORE[0]}", True, f"{TRIED_BEFORE[1]} {hint}"
    return Explanation(found.cause, what, hint, helps, found.number)


def _best(error: BaseException) -> Sign | None:
    """Return the sign that says most: the nearest strong one, else what is said nearest to the socket."""
    links = list(chain(error))
    weak: list[Sign] = []
    for link in links:
        found = _together(link.error) if members(link.error) else sign(link)
        if found is not None and not found.weak:
            return found
        if found is not None:
            weak.append(found)
    said = next((found for link in links if (found := sign_in_words(link)) is not None), None)
    return said or _innermost(weak)


def _together(group: BaseException) -> Sign | None:
    """Return what the members of a group say, of whom some may say nothing."""
    signs = [found for member in members(group) if (found := _best(member)) is not None]
    if len({found.cause for found in signs}) > 1:
        return Sign("several")
    return signs[0] if signs else None


def _innermost(signs: list[Sign]) -> Sign | None:
    """Return the last of the weak signs; of time limits the last that tells what the client was doing."""
    telling = [found for found in signs if found.cause != "ended"] or signs
    limits = [found for found in telling if found.cause == "client-timeout" and found.doing]
    if telling and telling[-1].cause == "client-timeout" and limits:
        return limits[-1]
    return telling[-1] if telling else None


def _claims_a_time_limit(error: BaseException) -> bool:
    """Tell whether a client calls by the name of a time limit what the kernel reported."""
    return "Timeout" in type(error).__name__ and type(error) is not TimeoutError


_DIAGNOSE = "`keptalive diagnose URL` finds out"

#: cause -> what happened, whether keepalive may help, what to do. The reference shows it too.
SENTENCES: dict[Cause, tuple[str, bool, str]] = {
    "path-died": (
        "the path died: keepalive probes, or data, stayed unanswered until the kernel gave the connection up",
        True,
        "If the path forgets what is idle, a shorter idle time keeps the connection open; if it was cut, "
        f"nothing does: {_DIAGNOSE}.",
    ),
    "no-answer": (
        "nobody answered the attempt to connect: the host or the path is down, or a firewall drops it",
        False,
        "Keepalive begins once there is a connection: check address, port and the firewalls on the way.",
    ),
    "path-died-or-no-answer": (
        "nothing came back: the path of an open connection died, or nobody answered the attempt to connect",
        True,
        f"The exception does not say which of the two: {_DIAGNOSE}.",
    ),
    "unreachable": (
        "there is no way to the host: this machine, or a router, said so to the attempt to connect",
        False,
        "Keepalive begins once there is a connection: check the address, the route and the link.",
    ),
    "unreachable-or-path-died": (
        "there is no way to the host: this machine, or a router, said so",
        True,
        "The exception does not say whether a connection was open: if one was, its path died.",
    ),
    "refused": (
        "the connection was refused: nobody listens on that port, or a firewall answers for it",
        False,
        "Keepalive begins once there is a connection: check the server, the port and the firewalls.",
    ),
    "no-connection": (
        "there was no connection to be had: it was refused, nobody answered, or there is no way to the host",
        False,
        "Keepalive begins once there is a connection: check address, port and the firewalls on the way.",
    ),
    "reset": (
        "the connection was reset, by the other end or by something on the path",
        True,
        "Some middleboxes reset what was idle for too long, and keepalive prevents that; a server that does "
        f"it has its own reason: {_DIAGNOSE}.",
    ),
    "closed": (
        "the server, or a proxy before it, closed the connection before the answer was complete",
        False,
        "Probes do not move who closes by its own clock, or failed: look at the logs and the time limits "
        "of the server and of the proxies before it.",
    ),
    "closed-or-reset": (
        "the other end closed the connection before the answer was complete, or reset it together with its "
        "last bytes: uvloop does not tell these apart",
        True,
        "Look at the logs and the time limits of the server and of the proxies before it.",
    ),
    "killed": (
        "the connection was killed, not closed: its path died, or it was reset",
        True,
        f"The exception does not say which of the two: {_DIAGNOSE}.",
    ),
    "ended": (
        "the connection ended before the answer was complete: it was closed, it was reset, or its path died",
        True,
        f"The exception does not say which of the three: {_DIAGNOSE}.",
    ),
    "over-before-sending": (
        "the connection was over already when more was to be sent: the other end had closed or reset it, or "
        "its path had died",
        True,
        "A pooled connection that was idle for too long ends like this. Held, it stays open, or is known to "
        "be dead before it is used again.",
    ),
    "aborted-here": (
        "this machine's own system gave the connection up: data stayed unanswered, its network changed, or a "
        "local program (a VPN, a filter) ended it",
        True,
        f"Look at what happened to this machine's network then; for the path, {_DIAGNOSE}.",
    ),
    "no-such-host": (
        "the host's name was not resolved: no connection was tried",
        False,
        "Check the name, and the resolver.",
    ),
    "several": (
        "several things happened: the members of the group say different things",
        True,
        "Explain the members one by one: keptalive.explain(member) for each in error.exceptions.",
    ),
}
#: The same for "client-timeout", by what the client was doing.
TIME_LIMITS: dict[Doing | None, tuple[str, bool, str]] = {
    "established": (
        "the client's own time limit ran out while it waited for the other end: what the network did is not "
        "known",
        True,
        f"A slow server looks the same from here as a path that has forgotten the connection: {_DIAGNOSE}. "
        "If the connection was held, its idle time must be shorter than the firewall's memory, which "
        "`keptalive probe HOST` measures.",
    ),
    "connecting": (
        "the client's own time limit ran out while it was connecting: nobody had answered until then",
        False,
        "Keepalive begins once there is a connection: check address, port and the firewalls on the way.",
    ),
    "pool": (
        "the client's own time limit ran out while it waited for a free connection of its pool",
        False,
        "Nothing is said about the network: all connections were in use. A larger pool, or answers that are "
        "read and closed, help; where requests hang, so do their connections.",
    ),
    "ping": (
        "the client's own pings stayed unanswered for longer than it allows: the path died, or the other end "
        "was too busy to answer",
        True,
        f"The exception does not say which of the two: {_DIAGNOSE}.",
    ),
    None: (
        "a time limit of this program's own ran out: what the network did is not known",
        True,
        f"A slow server looks the same from here as a path that has forgotten the connection: {_DIAGNOSE}.",
    ),
}

#: What may become of the second try of a request that its client repeats by itself.
MAY_FOLLOW_A_LOSS: tuple[Cause, ...] = (
    *("client-timeout", "no-answer", "refused", "unreachable", "no-connection", "no-such-host"),
    *("path-died-or-no-answer", "unreachable-or-path-died"),
)
#: What is added to `what` and `hint` then. That first connection may have been closed as well as forgotten.
TRIED_BEFORE = (
    "it was a second try: an earlier connection of this request had been lost",
    f"Why the first was lost the client did not keep: {_DIAGNOSE}. Of the second:",
)


def _words(found: Sign) -> tuple[str, bool, str]:
    return TIME_LIMITS[found.doing] if found.cause == "client-timeout" else SENTENCES[found.cause]
