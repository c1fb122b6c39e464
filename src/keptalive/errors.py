"""Every exception and warning of keptalive, and nothing else.

Rule: each error is also its natural builtin, so that `except OSError` and
`except ValueError` written before keptalive came along still catch it.

    KeptaliveError
    ├── PolicyError      (ValueError)    a policy that cannot work, or a value an OS does not take
    ├── BadInput         (ValueError)    what a command was pointed at, or told, makes no sense: no such host
    ├── UnknownTarget    (TypeError)     hold(), read() or explain() was given something it does not know
    ├── Uncovered        (RuntimeError)  hold() knows the target, but a part of it cannot be covered
    ├── SocketError      (OSError)       the kernel refused; errno is kept
    ├── ConnectionLost   (TimeoutError)  the connection was dead where the body seemed to end
    ├── NotPermitted     (PermissionError)  this user may not; the message says what would help
    ├── NoSuchProcess    (ProcessLookupError)  there is no process of this number, or it ended meanwhile
    ├── NotSupported     (NotImplementedError)  this OS, kernel or machine cannot
    └── LabError         (RuntimeError)  a lab could not be built, or a fault does not fit its engine
        └── LabNotSupported  (and NotSupported)  no engine that can do it works on this machine

    KeptaliveWarning     (UserWarning)   a connection went on unprotected
"""

from __future__ import annotations

__all__ = [
    "BadInput",
    "ConnectionLost",
    "KeptaliveError",
    "KeptaliveWarning",
    "LabError",
    "LabNotSupported",
    "NoSuchProcess",
    "NotPermitted",
    "NotSupported",
    "PolicyError",
    "SocketError",
    "Uncovered",
    "UnknownTarget",
]

TYPE_CHECKING = False  # type checkers take it for true; typing itself takes 5 ms to import
if TYPE_CHECKING:
    from typing import TypeVar

    Error = TypeVar("Error", bound="KeptaliveError")


class KeptaliveError(Exception):
    """Base of all errors of keptalive.

    `hint` is one sentence on what would help, or None; the command line prints it.
    """

    hint: str | None = None

    def with_hint(self: Error, hint: str) -> Error:
        """Return self, carrying *hint*: for `raise Error(...).with_hint(...)`."""
        self.hint = hint
        return self


class PolicyError(KeptaliveError, ValueError):
    """A policy that cannot work anywhere, or a value that this operating system does not take."""


class BadInput(KeptaliveError, ValueError):
    """What a measurement was pointed at, or told, makes no sense: no such host, or no TLS there."""


class UnknownTarget(KeptaliveError, TypeError):
    """What hold(), read() or explain() was given is of no kind that keptalive knows."""


class Uncovered(KeptaliveError, RuntimeError):
    """A part of a known target cannot be covered; the message names the part."""


class SocketError(KeptaliveError, OSError):
    """The kernel refused an option; `errno` is the kernel's."""


class ConnectionLost(KeptaliveError, TimeoutError):
    """The connection died where a body seemed to end: the answer is cut short, not complete."""


class NotPermitted(KeptaliveError, PermissionError):
    """This user, container or kernel setting does not allow it."""


class NoSuchProcess(KeptaliveError, ProcessLookupError):
    """There is no process of this number, or it ended meanwhile."""


class NotSupported(KeptaliveError, NotImplementedError):
    """This operating system, kernel or machine does not offer it."""


class LabError(KeptaliveError, RuntimeError):
    """A lab could not be built, or a fault does not fit the engine."""


class LabNotSupported(LabError, NotSupported):
    """No lab of the kind asked for can be had on this machine; the message says what it lacks."""


class KeptaliveWarning(UserWarning):
    """Something asked for could not be done and a connection goes on as it was."""
