"""KEPTALIVE_POLICY: the default policy, from the environment of the process.

Rule: read anew at each call that needs it, so that a program may set it late.
"IDLE:INTERVAL:COUNT[:USER_TIMEOUT]", or a preset's name, is the default policy; "off"
switches all of keptalive off, explicit policies too; what cannot be read, or is more
than this system takes, warns, and the built-in default holds.
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
    """Return the policy that holds where none was given: one that this system takes."""
    from keptalive.policy import Policy  # its dataclass takes 15 ms, which asking for "off" should not

    text = os.environ.get(VARIABLE, "").strip()
    if not text or switched_off():
        return Policy()
    try:
        return _read(text)
    except PolicyError as error:
        warnings.warn(
            f"{VARIABLE} is ignored, the built-in default {Policy()} holds: {error}",
            KeptaliveWarning,
            stacklevel=_caller(),
        )
        return Policy()


def _read(text: str) -> Policy:
    """Return the policy that *text* is. Raises PolicyError, for what this system does not take as well."""
    from keptalive import platforms
    from keptalive.policy import Policy

    if ":" in text:
        policy = Policy.parse(text)
    else:
        from keptalive import presets  # 2 ms, which figures need not cost

        policy = presets.parse_policy(text)
    platforms.current().option_values(policy)  # here: whoever sets it has not asked for it, and is to go on
    return policy


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
