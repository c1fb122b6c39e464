"""open_lab(): choose the engine by trying, and open the lab.

Rule: an engine is tried by building it, never by asking for versions or rights; what was refused
is told in the reason for the next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from keptalive.errors import LabError, LabNotSupported
from keptalive.lab.faults import ENGINES, Faults, parse
from keptalive.lab.interface import Lab


def open_lab(fault: str | Faults = "idle-drop:5", engine: str | None = None) -> Lab:
    """Open a lab: a slow server behind a firewall with this fault, or with several, commas between them.

    *engine* is "kernel" (network namespaces and the kernel's connection tracking), "packet" (the same with
    a firewall of ours that sees every packet; both: root, or any user where user namespaces are allowed),
    "relay" (loopback; no rights needed), or None: the first of these that can do it and works here.
    Raises LabError if the fault is unknown, or nothing for the engine asked for; LabNotSupported if no engine
    (or not the one asked for) that can do it works here.
    """
    if not hasattr(os, "pidfd_open"):
        raise LabNotSupported("the lab needs Linux 5.3 or later")
    wanted = parse(fault) if isinstance(fault, str) else fault
    if engine not in (None, *ENGINES):
        raise LabError(f"there is no engine {engine!r}: known are {', '.join(ENGINES)}")
    if engine is None:
        return open_first(wanted, ENGINES)
    try:
        return open_first(wanted, (engine,))
    except LabError as error:
        others = [name for name in wanted.engines if name != engine and _works(name, wanted)]
        if not others:
            raise
        others_can = f"{wanted} can be had from the engine {' or '.join(others)}"
        raise type(error)(f"{error}; {others_can}") from error


def open_first(faults: Faults, engines: Sequence[str]) -> Lab:
    """Open a lab on the first of *engines* that can do it and works here.

    Raises LabError if none of them can do it, LabNotSupported if none works here that can.
    """
    refusals: dict[str, str] = {}
    for name in engines:
        try:
            lab = _engine(name)(faults)
        except LabError as error:
            refusals[name] = str(error)
        else:
            if refusals:
                lab.engine_reason = f"{_all_of(refusals)}; using the {name}"
            return lab
    able = {name: reason for name, reason in refusals.items() if faults.refusal(name) is None}
    if not able:
        raise LabError(f"no lab can be opened here: {_all_of(refusals)}")
    if len(able) == len(refusals):
        raise LabNotSupported(f"no lab can be opened here: {_all_of(able)}")
    # What other engines could never do is no news to somebody who lacks something for the one that can.
    takes = f"it takes the {' or '.join(able)} engine"
    raise LabNotSupported(f"no lab with {faults} can be opened here: {takes}, and {_all_of(able)}")


def _works(engine: str, faults: Faults) -> bool:
    """Try it: an engine is recommended only where it works."""
    try:
        _engine(engine)(faults).close()
    except LabError:
        return False
    return True


def _all_of(refusals: dict[str, str]) -> str:
    return "; ".join(dict.fromkeys(refusals.values()))  # two engines may have met the same obstacle


def _engine(name: str) -> Callable[[Faults], Lab]:
    from importlib import import_module

    build: Callable[[Faults], Lab] = getattr(
        import_module(f"keptalive.lab.engines.{name}"), f"{name.title()}Lab"
    )
    return build
