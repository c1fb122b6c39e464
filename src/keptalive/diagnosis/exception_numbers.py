"""What the kernel's numbers say about a connection, and where they are found: in errno, or in words.

Rule: the only place that knows the errnos, Windows' own among them, wherever the exception was made.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import Literal

from keptalive.diagnosis.exception_chain import Link, kinds, phase

#: What happened, as far as it is known.
Cause = Literal[
    "path-died",  # an open connection's probes, or data, stayed unanswered
    "no-answer",  # nobody answered the attempt to connect
    "path-died-or-no-answer",
    "unreachable",  # this machine, or a router, has no way to the host
    "unreachable-or-path-died",
    "refused",  # an RST for the attempt to connect
    "no-connection",  # refused, unreachable or no-answer
    "reset",  # an RST for an open connection
    "closed",  # the other end's FIN before the answer was complete
    "closed-or-reset",
    "killed",  # reset or path-died
    "ended",  # closed, reset or path-died
    "over-before-sending",  # one of these, noticed only when more was to be sent
    "aborted-here",  # this machine's own system gave the connection up
    "no-such-host",  # the name was not resolved
    "client-timeout",  # a time limit of the client's own ran out
    "several",  # the members of a group say different things
]

#: What a client was doing when its own time limit ran out.
Doing = Literal["connecting", "established", "pool", "ping"]


@dataclass(frozen=True)
class Sign:
    """What one exception says."""

    cause: Cause
    number: int | None = None  # the kernel's errno
    doing: Doing | None = None  # of a client-timeout
    weak: bool = False  # an exception nearer to the socket may know better


# errno -> what it means for an open connection, for one that is being made, and where that is not known.
_MEANINGS: dict[str, tuple[Cause, Cause, Cause]] = {
    "ETIMEDOUT": ("path-died", "no-answer", "path-died-or-no-answer"),
    # What ICMP said in the meantime is the error that a connection dies of in the end: tcp_write_err().
    "EHOSTUNREACH": ("path-died", "unreachable", "unreachable-or-path-died"),
    "ENETUNREACH": ("path-died", "unreachable", "unreachable-or-path-died"),
    "EHOSTDOWN": ("path-died", "unreachable", "unreachable-or-path-died"),
    "ENETDOWN": ("aborted-here", "unreachable", "unreachable"),
    "ENETRESET": ("path-died", "path-died", "path-died"),  # Windows: "keep-alive activity" found it dead
    "ECONNREFUSED": ("refused", "refused", "refused"),
    "ECONNRESET": ("reset", "reset", "reset"),
    "ECONNABORTED": ("aborted-here", "aborted-here", "aborted-here"),
    "EPIPE": ("over-before-sending", "over-before-sending", "over-before-sending"),
    "ESHUTDOWN": ("over-before-sending", "over-before-sending", "over-before-sending"),
}
# winsock2.h. Python's errno has these on Windows only; an exception may have been made elsewhere.
_WINSOCK = {
    10050: "ENETDOWN",
    10051: "ENETUNREACH",
    10052: "ENETRESET",
    10053: "ECONNABORTED",
    10054: "ECONNRESET",
    10058: "ESHUTDOWN",
    10060: "ETIMEDOUT",
    10061: "ECONNREFUSED",
    10064: "EHOSTDOWN",
    10065: "EHOSTUNREACH",
}
# winerror.h: what overlapped operations, and so asyncio, say for the same things.
_WINERROR = {
    64: "ECONNRESET",  # ERROR_NETNAME_DELETED
    121: "ETIMEDOUT",  # ERROR_SEM_TIMEOUT
    1225: "ECONNREFUSED",
    1231: "ENETUNREACH",
    1232: "EHOSTUNREACH",
    1236: "ECONNABORTED",
}
_HERE = {getattr(errno, name): name for name in _MEANINGS if hasattr(errno, name)}
_NAMES = {**_WINSOCK, **_HERE}
# What strerror() says for them: libcurl and gRPC pass on no number. C libraries differ in small things.
_WORDS = {os.strerror(number).lower(): number for number in _HERE}


def name_of(number: int) -> str | None:
    """Return the name of an errno that is about connections: "ETIMEDOUT"."""
    return _NAMES.get(number)


def sign_in_words(link: Link) -> Sign | None:
    """Return what the text of an exception says that has lost its origin: "[Errno 111] Connect call ..."."""
    text = str(link.error)
    numbers = {int(digits) for digits in re.findall(r"\[Errno (\d+)\]", text)} & _NAMES.keys()
    if not numbers:
        return None
    if "Connect call failed" in text or "Failed to establish a new connection" in text:
        found = {(number, _MEANINGS[_NAMES[number]][1]) for number in numbers}
    else:
        found = {(number, sign_of_number(number, link).cause) for number in numbers}
    causes = {cause for _, cause in found}
    number = next(iter(numbers)) if len(numbers) == 1 else None
    return Sign(causes.pop() if len(causes) == 1 else "several", number)


_NOT_THE_KERNELS = {"SSLError", "gaierror", "herror", "ConnectionLost"}  # OSErrors with other numbers


def number_of(error: BaseException) -> int | None:
    """Return the errno of an OSError of the kernel's; those of SSL and of name resolution are none."""
    if not isinstance(error, OSError) or {name for _, name in kinds(error)} & _NOT_THE_KERNELS:
        return None
    windows = _WINERROR.get(getattr(error, "winerror", None) or 0)
    if windows is not None:
        return next(number for number, name in _WINSOCK.items() if name == windows)
    return error.errno if error.errno in _NAMES else None


def sign_of_number(number: int, link: Link) -> Sign:
    """Return what an errno says where it was raised."""
    established, connecting, unknown = _MEANINGS[_NAMES[number]]
    where = phase(link)
    return Sign({"established": established, "connecting": connecting, None: unknown}[where], number)


def sign_of_words(number: int, *, connecting: bool) -> Sign:
    """Return what an errno says that a C library wrote down, and that knows whether it was connecting."""
    established, at_connecting, _ = _MEANINGS[_NAMES[number]]
    return Sign(at_connecting if connecting else established, number)


def number_in(words: str) -> int | None:
    """Return the errno that a text from C names, by number or as strerror() does."""
    for digits in re.findall(r"errno (\d+)|\((\d+)\)$", words):
        number = int("".join(digits))
        if number in _NAMES:
            return number
    lower = words.lower()
    return next((number for said, number in _WORDS.items() if said in lower), None)
