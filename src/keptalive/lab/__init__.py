"""The lab: a firewall that forgets, and a slow server behind it, on this machine.

Rule: names only, loaded when first used; importing keptalive.lab builds and costs nothing.

    with open_lab("idle-drop:5") as lab:
        requests.get(f"{lab.url}/sleep/10")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # "as" marks a re-export for type checkers
    from keptalive.lab.interface import Lab as Lab
    from keptalive.lab.interface import LabEvent as LabEvent
    from keptalive.lab.opening import open_lab as open_lab

_HOME = {"Lab": "interface", "LabEvent": "interface", "open_lab": "opening"}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'keptalive.lab' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"keptalive.lab.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
