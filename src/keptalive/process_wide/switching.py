"""install(), uninstall(), installed(): turning the switch.

Rule: turning it is serialised by one lock, which is never held while waiting for an
import; a child of fork() gets a new one. What the switch stands at is
`ruling.current`; what was wrapped for it is the `_Installation`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keptalive.cover import Cover
from keptalive.policy import Policy
from keptalive.process_wide import gevent, pycurl, ruling, socket_class, tls, uvloop, windows_events
from keptalive.process_wide.attributes import Attributes
from keptalive.process_wide.post_import import PostImport
from keptalive.process_wide.report import InstallReport, describe
from keptalive.process_wide.scope import Scope

if TYPE_CHECKING:
    from keptalive.process_wide.scope import Networks, Ports

# module of a library -> what puts the wrappers there
_SEAMS = {name: seam.put for seam in (tls, uvloop, pycurl, gevent, windows_events) for name in seam.MODULES}


def install(
    policy: Policy | None = None, *, networks: Networks | None = None, ports: Ports | None = None
) -> InstallReport:
    """Protect every TCP connection that this process opens from now on; return what is covered and what not.

    policy: set exactly, before the connection is made, and put back if a library sets its
        own afterwards. None is the default policy (45 s idle, 15 s interval, 9 probes, or
        KEPTALIVE_POLICY), which leaves a connection to the program's own setting whose idle
        and interval are both no longer.
    networks: only connections to these: "10.0.0.0/8", an ipaddress network, or several.
    ports: only connections to these ports: a number, or several.

    Libraries may be imported before or after. Calling it again replaces policy, networks
    and ports for connections to come. Under KEPTALIVE_POLICY=off it turns itself off, and
    the report says so. Raises PolicyError (a ValueError), and changes nothing then, for a
    value that this OS does not take and for networks or ports that are none.
    """
    cover = Cover(policy)
    scope = Scope.of(networks, ports)
    failed = _turn(None if cover.off else ruling.Rule(cover, scope))
    return describe(cover, scope, failed)


def uninstall() -> None:
    """Put every attribute back; connections that were protected stay so. Nothing happens if it was not on."""
    _turn(None)


@contextmanager
def installed(
    policy: Policy | None = None, *, networks: Networks | None = None, ports: Ports | None = None
) -> Iterator[InstallReport]:
    """install() for the time of a `with` block, then what held before it.

    For the whole process, other threads and tasks included; blocks are to be left in
    the reverse order of entering.
    """
    before = ruling.current
    report = install(policy, networks=networks, ports=ports)
    try:
        yield report
    finally:
        _turn(before)


class _Installation:
    """What was changed in this process."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}  # module -> why it could not be wrapped
        self._attributes = Attributes()
        self._finder = PostImport(_SEAMS, self.reach)
        for cls in socket_class.plain_classes():
            socket_class.put(cls, self._attributes)
        sys.meta_path.insert(0, self._finder)

    def reach(self, name: str) -> None:
        """Wrap what a loaded module offers; one that looks different from all we know stays as it is."""
        with _lock:
            if _installation is not self:
                return
            try:
                _SEAMS[name](sys.modules[name], self._attributes)
            except Exception as error:  # noqa: BLE001  # this runs inside somebody's import
                self.failed[name] = str(error)
                if ruling.current is not None:
                    ruling.current.cover.complain(f"connections of {name} are not protected: {error}")

    def remove(self) -> None:
        """Put everything back."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._attributes.restore()


_lock = threading.RLock()
_installation: _Installation | None = None


def _turn(rule: ruling.Rule | None) -> dict[str, str]:
    """Have *rule* hold from now on, None for nothing; return which modules could not be wrapped, and why."""
    global _installation  # noqa: PLW0603  # one process, one switch
    with _lock:
        ruling.current = rule
        if rule is None:
            if _installation is not None:
                _installation.remove()
                _installation = None
            return {}
        if _installation is None:
            _installation = _Installation()
        installation = _installation
    for name in _SEAMS:
        if sys.modules.get(name) is not None:
            try:
                __import__(name)  # waits for another thread that is in the middle of importing it
            except ImportError:
                continue
            installation.reach(name)
    return installation.failed


def _renew_lock() -> None:
    """Forget a lock that a thread of the parent held while it forked."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew_lock)
