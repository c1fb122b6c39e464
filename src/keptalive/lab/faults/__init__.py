"""The faults a lab can have, one a file, and how they are written: "idle-drop:5", "loss:5%,delay:20".

Rule: a fault is a frozen value that says what goes wrong and which engines can do it;
how it is done is the engines' business.
"""

from __future__ import annotations

import re

from keptalive.errors import LabError
from keptalive.lab.faults.blackhole import Blackhole
from keptalive.lab.faults.combination import ENGINES as ENGINES
from keptalive.lab.faults.combination import Faults as Faults
from keptalive.lab.faults.delay import Delay
from keptalive.lab.faults.fault import Fault as Fault
from keptalive.lab.faults.gateway_timeout import GatewayTimeout
from keptalive.lab.faults.idle_close import IdleClose
from keptalive.lab.faults.idle_drop import IdleDrop
from keptalive.lab.faults.idle_reset import IdleReset
from keptalive.lab.faults.idle_reset_both import IdleResetBoth
from keptalive.lab.faults.loss import Loss
from keptalive.lab.faults.nat_rebind import NatRebind
from keptalive.lab.faults.one_way import OneWay
from keptalive.lab.faults.outage import Outage
from keptalive.lab.faults.probes_filtered import ProbesFiltered
from keptalive.lab.faults.state_lost import StateLost
from keptalive.presets import PRESETS, AtExpiry
from keptalive.spelling import similar

#: Every kind of fault, by the name it is written with.
FAULTS: dict[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        IdleDrop,
        IdleReset,
        IdleResetBoth,
        IdleClose,
        GatewayTimeout,
        ProbesFiltered,
        NatRebind,
        OneWay,
        Blackhole,
        Outage,
        StateLost,
        Loss,
        Delay,
    )
}

#: What a known middlebox does with an idle connection, as a fault.
AT_EXPIRY: dict[AtExpiry, type[IdleDrop | IdleReset | IdleResetBoth | IdleClose | GatewayTimeout]] = {
    "silent": IdleDrop,
    "reset on next packet": IdleReset,
    "reset at once": IdleResetBoth,
    "closes": IdleClose,
    "answers with an error": GatewayTimeout,
}

_PRESETS = {preset.name: preset for preset in PRESETS}


def parse(text: str) -> Faults:
    """Read faults as they are written, commas between them, or presets of keptalive.presets by name.

    Raises LabError, with what was probably meant.
    """
    return Faults(tuple(_parse(part.strip()) for part in text.split(",")))


def _parse(text: str) -> Fault:
    name, sign, parameters = re.fullmatch(r"([^:@]*)([:@]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    kind = FAULTS.get(name)
    if kind is not None:
        wanted = "@" if "@" in kind.syntax else ":"
        if sign and sign != wanted:
            raise LabError(f"{name} is written {kind.syntax}, not {text!r}")
        return kind.parse(parameters)
    preset = _PRESETS.get(text.lower())
    if preset is not None:
        return AT_EXPIRY[preset.at_expiry](preset.idle_timeout)
    guess = similar(name, [*FAULTS, *_PRESETS])
    meant = f"did you mean {FAULTS[guess].syntax if guess in FAULTS else guess}? " if guess else ""
    raise LabError(f"there is no fault {name!r}: {meant}`keptalive lab faults` lists them")
