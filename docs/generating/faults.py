"""The page of the lab's faults, written from their files."""

from __future__ import annotations

import inspect

from keptalive.lab.faults import AT_EXPIRY, FAULTS, Fault
from keptalive.presets import PRESETS

_HEAD = """\
# Faults

What the [lab](command-line.md#keptalive-lab)'s firewall can do wrong. A fault is written as below, for
`--fault` and in `keptalive.lab`; several at once have commas between them: `idle-drop:5,delay:40`. A
firewall forgets idle flows in one way, so of the faults that do this there can be one. Times are in seconds
unless the fault says otherwise; `--speed N` divides them. The clock of every `@` starts with the first
packet of the first connection.

| fault | engines | what it does |
|---|---|---|
"""

_ENGINES = """
## Engines

The engine is the first of these that can do all the faults and works here, unless you ask for one. The
kernel and the packet engine need root, or a machine that lets users make user namespaces.

- **kernel**: network namespaces and the kernel's own connection tracking: the reference. It counts whole
  seconds, and keeps no record.
- **packet**: network namespaces, and between them a firewall of ours that sees, judges and records every
  packet. `--trace` shows its record.
- **relay**: a process on loopback that ends TCP on both sides and counts segments. It needs no right at
  all. The server never sees a client's probe. It looks now and then, so it forgets late, by up to a
  thirtieth of the time, and never early: `idle-drop:5` is 5.0 to 5.2 s, and `keptalive probe` says so.

One table of faults, clients and outcomes runs on every engine that can do a fault: `tests/lab/scenario.py`.

"""

_PRESETS = """\
## Presets

A [known middlebox](presets.md)'s name stands for what it does with idle connections:
`--fault aws-nlb --speed 60` is `idle-reset:5.833`.

| preset | is |
|---|---|
"""


def faults() -> str:
    """Return the page of faults."""
    presets = (f"| `{row.name}` | `{AT_EXPIRY[row.at_expiry](row.idle_timeout)}` |" for row in PRESETS)
    return "".join(
        [
            _HEAD,
            *(_row(kind) + "\n" for kind in FAULTS.values()),
            _ENGINES,
            *(_section(kind) for kind in FAULTS.values()),
            _PRESETS,
            *(row + "\n" for row in presets),
        ]
    )


def _row(kind: type[Fault]) -> str:
    syntax = kind.syntax.replace("|", "\\|")
    return f"| [`{syntax}`](#{kind.name}) | {', '.join(kind.engines)} | {_idea(kind)} |"


def _idea(kind: type[Fault]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _section(kind: type[Fault]) -> str:
    """Return a fault's heading and what its file says of it, whose first words are the syntax."""
    module = inspect.getmodule(kind)
    assert module is not None
    syntax, _, text = inspect.cleandoc(module.__doc__ or "").partition(": ")
    return f"## {kind.name}\n\n`{syntax}`: {text}\n\n"
