"""pycurl, 7.45 and later: Curl handles.

Rule: libcurl calls SOCKOPTFUNCTION for each connection it makes, after it has set
TCP_KEEPALIVE and its kin, so there the whole policy is set and read back, count and
user timeout included, for which libcurl's own options do not suffice. A callback
that is set already keeps being called. libcurl shows only the last of the
connections it has pooled: hold a handle before its first transfer.

    curl.setopt(pycurl.SOCKOPTFUNCTION, keptalive.clients.pycurl.sockopt_function(policy))

reset() takes it away, as does setting SOCKOPTFUNCTION: hold the handle again.
"""

from __future__ import annotations

import gc
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pycurl

from keptalive.cover import Cover
from keptalive.policy import Policy

SockoptFunction = Callable[[int, int], int]

# LASTSOCKET is the older name, and too short for a handle of 64-bit Windows.
_LAST_SOCKET = getattr(pycurl, "ACTIVESOCKET", pycurl.LASTSOCKET)


def sockopt_function(policy: Policy | None = None, then: SockoptFunction | None = None) -> SockoptFunction:
    """Return a callback for pycurl.SOCKOPTFUNCTION that sets *policy*, None is the default one.

    then: a callback of your own, called first; its answer counts.
    """
    return SetPolicy(Cover(policy), then)


def serves(target: object) -> bool:
    """Tell whether *target* is a Curl handle; a CurlMulti's connections are covered by its handles."""
    return isinstance(target, pycurl.Curl)


def hold(target: Any, cover: Cover) -> None:
    """Cover the connections that a handle makes from now on, and the last one it made."""
    if not _callbacks_can_be_seen():
        cover.refuse("this pycurl does not show whether the handle has a SOCKOPTFUNCTION of yours already")
        return
    ours = SetPolicy(cover)
    before = gc.get_referents(target)
    try:
        target.setopt(pycurl.SOCKOPTFUNCTION, ours)
    except pycurl.error as error:  # closed, or in the middle of a transfer
        cover.refuse(f"the Curl handle takes no options now: {error}")
        return
    ours.then = _replaced(before, gc.get_referents(target))
    for sock in sockets(target):
        cover.protect(sock)


def sockets(target: Any) -> list[Any]:
    """Return the socket of the last connection, if it is open."""
    try:
        number = target.getinfo(_LAST_SOCKET)
    except pycurl.error:  # closed, or in the middle of a transfer
        return []
    return [] if number == -1 else [_CurlSocket(number)]


class SetPolicy:
    """A callback for SOCKOPTFUNCTION; `then` is the one that was set before, and still called."""

    def __init__(self, cover: Cover, then: SockoptFunction | None = None) -> None:
        self.cover = cover
        self.then = then

    def __call__(self, number: int, purpose: int) -> int:
        """Do what the program's own callback does, then protect the socket of this number."""
        answer = pycurl.SOCKOPT_OK if self.then is None else self.then(number, purpose)
        try:
            self.cover.protect(_CurlSocket(number))
        except OSError as error:
            self.cover.complain(f"a connection is not protected: {error!r}")
        return answer


class _CurlSocket:
    """A socket of libcurl's, looked at without owning it: closing it stays libcurl's business."""

    def __init__(self, number: int) -> None:
        self._number = number
        with self._borrowed() as sock:
            self.family, self.type, self.proto = sock.family, sock.type, sock.proto

    @contextmanager
    def _borrowed(self) -> Iterator[socket.socket]:
        sock = socket.socket(fileno=self._number)
        try:
            yield sock
        finally:
            sock.detach()

    def fileno(self) -> int:
        return self._number

    def getsockopt(self, *args: int) -> Any:
        with self._borrowed() as sock:
            return sock.getsockopt(*args)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        with self._borrowed() as sock:
            sock.setsockopt(level, option, value)

    def getsockname(self) -> Any:
        with self._borrowed() as sock:
            return sock.getsockname()

    def getpeername(self) -> Any:
        with self._borrowed() as sock:
            return sock.getpeername()


def _replaced(before: list[Any], after: list[Any]) -> SockoptFunction | None:
    """Return the callback that went between two looks at a handle's references; behind ours, its *then*."""
    left = Counter(map(id, before)) - Counter(map(id, after))
    for callback in before:
        if id(callback) in left:
            return callback.then if isinstance(callback, SetPolicy) else callback
    return None


@cache
def _callbacks_can_be_seen() -> bool:
    """Tell whether a handle shows its callbacks to the garbage collector, the only one who may ask."""
    handle, callback = pycurl.Curl(), SetPolicy(Cover())
    handle.setopt(pycurl.SOCKOPTFUNCTION, callback)
    seen = any(referent is callback for referent in gc.get_referents(handle))
    handle.close()
    return seen
