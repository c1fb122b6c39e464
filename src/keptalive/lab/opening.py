"""open_lab(): choose the engine by trying, and open the lab.

Rule: an engine is tried by building it, never by asking for versions or rights; what was refused
is told in the reason for the next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from keptalive.errors import LabError
from keptalive.lab.faults import ENGINES, Faults, parse
from keptalive.lab.interface import Lab


def open_lab(fault: str | Faults = "idle-drop:5", engine: str | None = None) -> Lab:
    """Open a lab: a slow server behind a firewall with this fault, or with several, commas between them.

    *engine* is "kernel" (network namespaces and the kernel's connection tracking), "packet" (the same with
    a firewall of ours that sees every packet; both: root, or any user where user namespaces are allowed),
    "relay" (loopback; no rights needed), or None: the first of these that can do it and works here.
    Raises LabError if the fault is unknown, or no engine (or not the one asked for) can do it here.
    """
    if not hasattr(os, "pidfd_open"):
        raise LabError("the lab needs Linux 5.3 or later")
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
        raise LabError(f"{error}; {wanted} can be had from the engine {' or '.join(others)}") from error


def open_first(faults: Faults, engines: Sequence[str]) -> Lab:
    """Open a lab on the first of *engines* that can do it and works here. Raises LabError if none does."""
    refusals: list[str] = []
    for name in engines:
        try:
            lab = _engine(name)(faults)
        except LabError as error:
            refusals.append(str(error))
        else:
            if refusals:
                lab.engine_reason = f"{_all_of(refusals)}; using the {name}"
            return lab
    raise LabError(f"no lab can be opened here: {_all_of(refusals)}")


def _works(engine: str, faults: Faults) -> bool:
    """Try it: an engine is recommended only where it works."""
    try:
        _engine(engine)(faults).close()
    except LabError:
        return False
    return True


def _all_of(refusals: list[str]) -> str:
    return "; ".join(dict.fromkeys(refusals))  # two engines may have met the same obstacle


def _engine(name: str) -> Callable[[Faults], Lab]:
    from importlib import import_module

    build: Callable[[Faults], Lab] = getattr(
        import_module(f"keptalive.lab.engines.{name}"), f"{name.title()}Lab"
    )
    return build
