"""Write the parts of the reference that come from the code; `--check` tells whether they are up to date.

python docs/generate.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generating.python_api import python_api

from keptalive.diagnosis.exceptions import SENTENCES, TIME_LIMITS
from keptalive.platforms import FIELDS, PLATFORMS, Option, Platform
from keptalive.presets import PRESETS, Preset

REFERENCE = Path(__file__).parent / "reference"


def platforms() -> str:
    """Return the page of platforms."""
    lines = [
        "# Platforms",
        "",
        "Which socket option stands for which field of a policy. Written from `keptalive/platforms.py`.",
        "",
        "keptalive is tested on Linux. macOS, Windows and FreeBSD it is **written for, not yet tested on**.",
        "The inspector (`ps`), the runner (`run`, `attach`) and the lab's kernel engine need Linux.",
    ]
    for platform in PLATFORMS:
        lines += ["", f"## {platform.name}", "", "| field | option | level | number | unit | takes | since |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_row(platform, field) for field in FIELDS]
        if platform.ioctl_keepalive is not None:
            lines += [
                "",
                f"Older releases: `SIO_KEEPALIVE_VALS` ({platform.ioctl_keepalive:#x}) sets idle and "
                f"interval in milliseconds; the count is fixed at {platform.ioctl_count}.",
            ]
        lines += ["", f"Source: {platform.source}."]
    return "\n".join(lines) + "\n"


def _row(platform: Platform, field: str) -> str:
    option: Option | None = platform.options.get(field)  # type: ignore[call-overload]
    if option is None:
        return f"| {field} | none: {platform.missing[field]} | | | | | |"  # type: ignore[index]
    takes = "0 or 1" if option.unit == "flag" else f"{option.minimum} to {option.maximum}"
    unit = "" if option.unit in ("flag", "count") else option.unit
    where = f"`{option.name}` | {option.level:#x} | {option.number:#x}"
    return f"| {field} | {where} | {unit} | {takes} | {option.since} |"


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


def explanations() -> str:
    """Return the page of what explain() may say."""
    rows = [(cause, *words) for cause, words in SENTENCES.items()]
    rows += [("client-timeout", *words) for words in TIME_LIMITS.values()]
    lines = [
        "# What explain() says",
        "",
        "Every value of `Explanation.cause`, with its sentence (`what`, and `str()` of it), whether keepalive",
        "may help, and the hint. Written from `keptalive/diagnosis/exceptions.py`;",
        "[how to use it](../howto/explain-an-exception.md).",
        "",
        "| `cause` | `what` | may keepalive help? | `hint` |",
        "|---|---|---|---|",
        *(
            f"| `{cause}` | {what} | {'yes' if helps else 'no'} | {hint} |"
            for cause, what, helps, hint in rows
        ),
    ]
    return "\n".join(lines) + "\n"


PAGES = {
    "explanations.md": explanations,
    "platforms.md": platforms,
    "presets.md": presets,
    "python.md": python_api,
}


def main() -> int:
    """Write, or check, every page; 1 if one that was checked is out of date."""
    check = "--check" in sys.argv
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    for name in stale:
        print(f"{name} {'is' if check else 'was'} out of date")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
