"""The page of known middleboxes."""

from __future__ import annotations

from keptalive.presets import PRESETS, Preset


def presets() -> str:
    """Return the page of known middleboxes."""
    lines = [
        "# Presets: known middleboxes",
        "",
        "How long they remember an idle connection by default, and what they do then. Most are settings that",
        "anybody may have changed, so [measure](../howto/measure-a-path.md) where you can. Written from",
        "`keptalive/presets.py`; each row has its source, and the month in which it was read.",
        "",
        "A preset's name stands for a policy: what `Policy.for_idle_timeout()` makes of its timeout.",
        "",
        "## Boxes that count packets: keepalive holds their connections",
        "",
        "| preset | what | idle timeout | can be set to | then | policy | source |",
        "|---|---|---|---|---|---|---|",
        *(_preset(row) for row in PRESETS if row.keepalive_helps),
        "",
        "*Silent*: what comes later is dropped, and nobody is told. *Reset on next packet*: whoever sends",
        "next gets an RST; who only waits is told nothing. *Reset at once*: both ends get an RST at expiry.",
        "",
        "## Boxes and servers that count bytes: keepalive does not impress them",
        "",
        "Only their own setting helps, or a response that sends something meanwhile.",
        "",
        "| name | what | timeout | can be set to | then | source |",
        "|---|---|---|---|---|---|",
        *(_preset(row) for row in PRESETS if not row.keepalive_helps),
    ]
    return "\n".join(lines) + "\n"


def _preset(row: Preset) -> str:
    low, high = row.configurable or (0, 0)
    takes = f"{low} to {high} s" if high else "-"
    cells = [f"`{row.name}`", row.title, f"{row.idle_timeout} s", takes, row.at_expiry]
    if row.keepalive_helps:
        cells.append(f"`{row.policy}`")
    return f"| {' | '.join(cells)} | [read {row.looked_up}]({row.source}) |"
