"""pycurl: libcurl's own sockets, through the callback that it calls for each before it connects.

Rule: `pycurl.Curl` becomes a subclass that keeps this callback set, together with
the program's own. Handles of either class pass for a pycurl.Curl.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keptalive.process_wide import ruling
from keptalive.process_wide.attributes import Attributes
from keptalive.sockets import SocketType

MODULES = ("pycurl",)

_CONNECTION = 0  # CURLSOCKTYPE_IPCXN, curl/curl.h; the other kind is accepted (FTP's active mode)
_OK = 0  # CURL_SOCKOPT_OK


def put(module: Any, attributes: Attributes) -> None:
    """Replace the class."""
    attributes.wrap(module, "Curl", lambda original: _covered(original, module.SOCKOPTFUNCTION))


def protect(fd: int, purpose: int) -> int:
    """Protect a socket of libcurl's: its callback for SOCKOPTFUNCTION."""
    rule = ruling.current
    if rule is not None and rule.scope is None and purpose == _CONNECTION:
        try:
            sock = SocketType(fileno=fd)
        except OSError as error:
            rule.cover.complain(f"a connection of pycurl's is not protected: {error}")
            return _OK
        rule.connecting(sock, None)
        sock.detach()  # libcurl's to close
    return _OK


def _covered(original: Any, option: int) -> Any:
    """Return a subclass of *original* whose handles have `protect` as their callback."""

    class EitherCurl(type(original)):  # type: ignore[misc]  # the metaclass is known at run time only
        """Checks that take the original class, and so handles made before, for the new one."""

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, original) if cls is Curl else super().__instancecheck__(instance)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, original) if cls is Curl else super().__subclasscheck__(subclass)

    class Curl(original, metaclass=EitherCurl):  # type: ignore[misc]
        __doc__ = original.__doc__

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            super().setopt(option, protect)

        def setopt(self, wanted: int, value: Any, **kwargs: Any) -> None:
            if wanted == option:
                value = protect if value is None else _both(value)
            super().setopt(wanted, value, **kwargs)

        def unsetopt(self, wanted: int) -> None:
            super().unsetopt(wanted)
            if wanted == option:
                super().setopt(option, protect)

        def reset(self) -> None:
            super().reset()
            super().setopt(option, protect)

    Curl.__module__, Curl.__qualname__ = original.__module__, original.__qualname__
    return Curl


def _both(theirs: Callable[[int, int], int]) -> Callable[[int, int], int]:
    """Return a callback that protects and then does as the program's, whose answer counts."""
    from keptalive.clients.pycurl import SetPolicy  # imports pycurl, so not while that is being imported

    if isinstance(theirs, SetPolicy):  # hold()'s: it looks for itself in the handle, and calls ours
        return theirs

    def callback(fd: int, purpose: int) -> int:
        protect(fd, purpose)
        return theirs(fd, purpose)

    return callback
