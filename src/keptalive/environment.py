"""KEPTALIVE_POLICY: the default policy, from the environment of the process.

Rule: read anew at each call that needs it, so that a program may set it late.
"IDLE:INTERVAL:COUNT[:USER_TIMEOUT]" is the default policy; "off" switches all of
keptalive off, explicit policies too; what cannot be read warns, and the built-in
default holds.
"""

from __future__ import annotations

import os
import sys
import warnings

from keptalive.errors import KeptaliveWarning, PolicyError

TYPE_CHECKING = False  # type checkers take it for true
if TYPE_CHECKING:
    from keptalive.policy import Policy

VARIABLE = "KEPTALIVE_POLICY"


def switched_off() -> bool:
    """Tell whether KEPTALIVE_POLICY=off."""
    return os.environ.get(VARIABLE, "").strip().lower() == "off"


def default_policy() -> Policy:
    """Return the policy that holds where none was given."""
    from keptalive.policy import Policy  # its dataclass takes 15 ms, which asking for "off" should not

    text = os.environ.get(VARIABLE, "").strip()
    if not text or switched_off():
        return Policy()
    try:
        return Policy.parse(text)
    except PolicyError as error:
        warnings.warn(
            f"{VARIABLE} is ignored, the built-in default {Policy()} holds: {error}",
            KeptaliveWarning,
            stacklevel=_caller(),
        )
        return Policy()


def chosen(policy: Policy | None) -> Policy:
    """Return *policy*, or the default one for None. Raises PolicyError for what is no Policy."""
    if policy is None:
        return default_policy()
    from keptalive.policy import checked

    return checked(policy)


def _caller() -> int:
    """Return the stacklevel of the first frame outside of keptalive: the line that a warning is about."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "keptalive":
        frame, level = frame.f_back, level + 1
    return level
