"""What the pieces have in common, and what a relay offers them."""

from __future__ import annotations

from typing import Protocol

from keptalive.lab.flows import Flow
from keptalive.lab.polling import Poller


class Site(Protocol):
    """The relay, as far as its pieces see it."""

    poller: Poller
    #: Nothing passes now, so nothing that the relay itself would send arrives.
    dark: bool

    def record(self, kind: str, detail: str, sender: str = "") -> None:
        """Write down that something happened now, in the words of lab.interface.LabEvent."""

    def end(self, flow: Flow, reason: str) -> None:
        """Do to a flow what this relay does to one that was idle for too long."""

    def keep_silent(self, flow: Flow) -> None:
        """Have a flow be forgotten: neither end is told, now or later."""

    def set_dark(self, dark: bool) -> None:
        """Let nothing pass, or let it pass again."""


class Piece:
    """A misbehaviour, of all flows of a relay."""

    def opened(self, flow: Flow) -> None:
        """A client has connected."""

    def over(self, flow: Flow) -> None:
        """A flow has ended, or is forgotten."""
