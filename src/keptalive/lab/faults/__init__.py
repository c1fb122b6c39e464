"""The faults a lab can have, one a file, and how they are written: NAME:PARAMETERS.

Rule: a fault is a frozen value that says what goes wrong and which engines can do it;
how it is done is the engines' business.
"""

from __future__ import annotations

from keptalive.errors import LabError
from keptalive.lab.faults.idle_drop import IdleDrop

#: Every kind of fault, by the name it is written with.
FAULTS = {IdleDrop.name: IdleDrop}

Fault = IdleDrop


def parse(text: str) -> Fault:
    """Read a fault as it is written, like "idle-drop:5"; raises LabError that names what is known."""
    name, _, parameters = text.strip().partition(":")
    kind = FAULTS.get(name)
    if kind is None:
        known = ", ".join(sorted(fault.syntax for fault in FAULTS.values()))
        raise LabError(f"there is no fault {name!r}: known are {known}")
    return kind.parse(parameters)
