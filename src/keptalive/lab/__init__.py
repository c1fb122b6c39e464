"""The lab: a firewall that forgets, and a slow server behind it, on this machine.

Rule: names only, loaded when first used; importing keptalive.lab builds and costs nothing.

    with open_lab("idle-drop:5") as lab:
        requests.get(f"{lab.url}/sleep/10")

    with open_box("idle-drop:5", to=("db.example", 5432)) as box:  # the client in this process
        psycopg.connect(host=box.host, port=box.port)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # "as" marks a re-export for type checkers
    from keptalive.lab.box import Box as Box
    from keptalive.lab.box import open_box as open_box
    from keptalive.lab.event import LabEvent as LabEvent
    from keptalive.lab.interface import Lab as Lab
    from keptalive.lab.opening import open_lab as open_lab

_HOME = {
    "Box": "box",
    "Lab": "interface",
    "LabEvent": "event",
    "open_box": "box",
    "open_lab": "opening",
}


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
