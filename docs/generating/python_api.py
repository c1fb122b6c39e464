"""The page of the Python API: every public name, grouped; Sphinx fills in signatures and docstrings."""

from __future__ import annotations

import inspect

import keptalive
import keptalive.lab

# home module -> heading; a home that is not named here gets one made of its own name
_HEADINGS = {
    "holding": "Hold and read",
    "process_wide": "A whole process",
    "policy": "Policies",
    "sockets": "Sockets",
    "tcp_info": "Sockets",
    "connections": "Connections of this machine",
    "rescue.attach": "Running programs",
    "probing.session": "Measure a path",
    "probing.result": "Measure a path",
    "diagnosis.exceptions": "Explain an exception",
    "diagnosis.session": "Diagnose a request",
    "diagnosis.result": "Diagnose a request",
    "diagnosis.evidence": "Diagnose a request",
    "errors": "Errors and warnings",
}
_LAST = "Errors and warnings"

# What the public names take, return and hold, where it matters to a reader.
_BESIDE = (
    "keptalive.sockets.SocketLike",
    "keptalive.process_wide.report.NotCovered",
    "keptalive.process_wide.scope.Scope",
    "keptalive.rescue.keeper.Look",
    "keptalive.probing.measure.Progress",
    "keptalive.diagnosis.evidence.Evidence",
    "keptalive.diagnosis.evidence.Arm",
    "keptalive.presets.Preset",
    "keptalive.lab.faults.combination.Faults",
    "keptalive.lab.faults.fault.Fault",
)

_INTRODUCTION = """\
# Python

All of this is imported from `keptalive` itself: `keptalive.hold`, `keptalive.Policy`. Times are in seconds.
How to use it: a page for each library under How to; the names that replace parts of one library
(`keptalive.clients.requests.HTTPAdapter` and its like) are told there.
"""


def python_api() -> str:
    """Return the page."""
    groups: dict[str, list[str]] = {heading: [] for heading in _HEADINGS.values()}
    for name, home in keptalive._HOME.items():
        groups.setdefault(_heading(home), []).append(_directive("keptalive", name))
    groups[_LAST] = groups.pop(_LAST)
    lab = [_directive("keptalive.lab", name) for name in keptalive.lab._HOME]
    groups["The lab: keptalive.lab"] = lab
    beside = [_directive(*name.rsplit(".", 1)) for name in _BESIDE]
    groups["What these take, return and hold"] = beside
    sections = [_section(heading, these) for heading, these in groups.items()]
    return "\n".join([_INTRODUCTION, *sections])


def _heading(home: str) -> str:
    return _HEADINGS.get(home) or home.rpartition(".")[2].replace("_", " ").capitalize()


def _directive(module: str, name: str) -> str:
    thing = getattr(__import__(module, fromlist=[name]), name)
    if not inspect.isclass(thing):
        return f".. autofunction:: {module}.{name}"
    if issubclass(thing, (Exception, Warning)):
        return f".. autoexception:: {module}.{name}\n   :show-inheritance:"
    return f".. autoclass:: {module}.{name}\n   :members:"


def _section(heading: str, directives: list[str]) -> str:
    body = "\n\n".join(directives)
    return f"## {heading}\n\n```{{eval-rst}}\n{body}\n```\n"
