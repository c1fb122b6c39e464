"""open_lab(): choose the engine by trying, and open the lab.

Rule: an engine is tried by building it, never by asking for versions or rights; what was refused
is told in the reason for the next.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from keptalive.errors import LabError
from keptalive.lab.faults import Faults, parse
from keptalive.lab.interface import Lab


def open_lab(fault: str | Faults = "idle-drop:5", engine: str | None = None) -> Lab:
    """Open a lab: a slow server behind a firewall with this fault, or several, commas between them.

    *engine* is "kernel" (network namespaces and the kernel's connection tracking: root, or any user
    where user namespaces are allowed), "relay" (loopback; no rights needed), or None: the first that works.
    Raises LabError if the fault is unknown, or no engine (or not the one asked for) can do it here.
    """
    if not hasattr(os, "pidfd_open"):
        raise LabError("the lab needs Linux 5.3 or later")
    wanted = parse(fault) if isinstance(fault, str) else fault
    engines = _engines()
    if engine is not None and engine not in engines:
        raise LabError(f"there is no engine {engine!r}: known are {', '.join(engines)}")
    refusals: list[str] = []
    for name, build in engines.items():
        if engine not in (None, name):
            continue
        try:
            lab = build(wanted)
        except LabError as error:
            refusals.append(str(error))
        else:
            if refusals:
                lab.engine_reason = f"{'; '.join(refusals)}; using the {name}"
            return lab
    raise LabError(f"no lab can be opened here: {'; '.join(refusals)}")


def _engines() -> dict[str, Callable[[Faults], Lab]]:
    """Return the engines, the most faithful first."""
    from keptalive.lab.engines.kernel import KernelLab
    from keptalive.lab.engines.relay import RelayLab

    return {"kernel": KernelLab, "relay": RelayLab}
