"""The page of platforms, from the table that the library itself works with."""

from __future__ import annotations

from keptalive.platforms import FIELDS, PLATFORMS, Option, Platform


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
