"""Inside a Python program of a run: the process-wide switch, and the same for what it listens on.

Rule: called once, at the program's start, by `injected/sitecustomize.py`, which lets nothing
that is raised here get any further.
"""

from __future__ import annotations

import os
import socket
import warnings
from functools import partial
from typing import Any

from keptalive.cover import Cover
from keptalive.policy import Policy
from keptalive.process_wide import install
from keptalive.process_wide.attributes import Attributes, looks_like
from keptalive.rescue.announcements import announce
from keptalive.rescue.injection import instructions


def protect() -> None:
    """Protect the connections that this process opens and accepts from now on, and tell the follower."""
    told = instructions()
    if told is None:
        return
    address, text = told
    policy = Policy.parse(text) if text else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `keptalive run` has said it, if KEPTALIVE_POLICY makes no sense
        install(policy)
        cover = Cover(policy)
    attributes = Attributes()
    for name in ("bind", "listen"):  # uvloop's servers bind in Python, and listen in C
        attributes.wrap(socket.socket, name, partial(_serving, cover))
    _tell(address)
    os.register_at_fork(after_in_child=partial(_tell, address))


def _serving(cover: Cover, original: Any) -> Any:
    """Return a method that prepares a socket for what it is going to accept, which inherits its options."""

    @looks_like(original, socket.socket)
    def serve(self: socket.socket, *args: Any) -> Any:
        result = original(self, *args)
        cover.protect(self)
        return result

    return serve


def _tell(address: str) -> None:
    try:
        announce(address)
    except OSError:
        return  # the follower is gone, or out of reach in another network namespace; protected all the same
