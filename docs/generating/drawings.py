"""Drawings of what a firewall does to a connection over time, from what the lab recorded.

Rule: every arrow is a packet, or a packet and its answer, of `figures/traces.json`; only words are added.
Time runs downwards. One drawing holds its colours for light and dark: as a file it follows the system, inside
a page the page's own switch (furo's `data-theme`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

_TRACES = Path(__file__).parent.parent / "figures" / "traces.json"

_WIDTH, _TOP, _SECOND = 366, 72, 33
_CLIENT, _FIREWALL, _SERVER = 62, 198, 334
_HANDSHAKE = 34  # room for the handshake and the request, which take no time
_APART = 0.05  # s: what follows sooner is the answer

_WORDS = {
    "idle-drop": "The firewall forgets after 5 s, and tells nobody",
    "idle-reset": "Forgets after 5 s; who sends next gets a reset",
    "idle-reset-both": "Ends it after 5 s with a reset to both ends",
    "gateway-timeout": "A proxy that answers 504 after 5 s without a byte",
    "blackhole": "The path dies after 3 s",
    "probes-filtered": "Bare probes are dropped, data passes",
}

_LIGHT = (
    "--ink:#24292f;--dim:#6b7380;--line:#c4cad2;--good:#1a7f37;--bad:#c3262f;--box:#7c5cd6;--paper:#ffffff"
)
_DARK = (
    "--ink:#e3e6ea;--dim:#98a0ab;--line:#4a515b;--good:#4cc465;--bad:#ff7b72;--box:#b197fc;--paper:#131416"
)

_STYLE = f"""\
svg.trace{{{_LIGHT};font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;font-size:12px}}
@media(prefers-color-scheme:dark){{svg.trace{{{_DARK}}}}}
body[data-theme=light] svg.trace{{{_LIGHT}}}
body[data-theme=dark] svg.trace{{{_DARK}}}
svg.trace text{{fill:var(--ink)}}
svg.trace .dim{{fill:var(--dim)}}
svg.trace .title{{font-weight:600;font-size:14px}}
svg.trace .label{{font-size:11px;paint-order:stroke;stroke:var(--paper);stroke-width:3px}}
svg.trace .bad{{fill:var(--bad)}}
svg.trace .good{{fill:var(--good)}}
svg.trace .lane{{stroke:var(--line);stroke-width:1.5}}
svg.trace .tick{{stroke:var(--line);stroke-width:1;stroke-dasharray:1 4}}
svg.trace .waits{{stroke:var(--ink);stroke-width:4}}
svg.trace .knows{{fill:var(--box)}}
svg.trace .packet{{stroke:var(--ink);stroke-width:1.4}}
svg.trace .lost{{stroke:var(--bad);stroke-width:1.4}}
svg.trace .head{{fill:var(--ink)}}
svg.trace .wrong{{fill:var(--bad)}}"""


@dataclass(frozen=True)
class Row:
    """One arrow: packets that belong together."""

    at: float
    label: str
    start: str
    end: str
    both: bool = False  # it was answered at once
    lost: bool = False
    bad: bool = False

    @property
    def halves(self) -> frozenset[str]:
        """On which sides of the box it is drawn."""
        if self.lost:
            return frozenset({self.start})
        return frozenset({self.end} if self.start == "firewall" else {"client", "server"})


def names() -> list[tuple[str, str]]:
    """Return every drawing as (fault's name, arm)."""
    return [
        (fault.partition(":")[0].partition("@")[0], arm)
        for fault, arms in _traces()["scenes"].items()
        for arm in arms
    ]


def drawing(fault: str, arm: str) -> str:
    """Return one drawing."""
    facts = _traces()
    scene = next(
        arms[arm]
        for name, arms in facts["scenes"].items()
        if name.partition(":")[0].partition("@")[0] == fault
    )
    return _Drawing(facts, scene, fault, arm).svg()


@cache
def _traces() -> dict[str, Any]:
    traces: dict[str, Any] = json.loads(_TRACES.read_text("utf-8"))
    return traces


class _Drawing:
    def __init__(self, facts: dict[str, Any], scene: dict[str, Any], fault: str, arm: str) -> None:
        self._facts, self._scene, self._fault, self._arm = facts, scene, fault, arm
        self._longest = max(facts["patience"], facts["response_after"])
        self._bottom = self._y(self._longest)
        self._parts: list[str] = []
        self._last, self._halves = 0.0, frozenset[str]()  # where the last arrow is

    def _y(self, at: float) -> float:
        """Return how far down a time is."""
        return _TOP + (0 if at == 0 else _HANDSHAKE) + at * _SECOND

    def svg(self) -> str:
        height = round(self._bottom + 52)
        title = f"{_WORDS[self._fault]}. The connection is {self._arm}: {self._outcome()[0]}"
        self._frame()
        self._memory()
        self._waiting()
        for row in rows(self._scene["events"]):
            self._arrow(row)
        self._verdict()
        size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" class="trace" role="img" {size}>'
        style = f"<style>{_STYLE}</style>"
        return "\n".join([head, f"<title>{escape(title)}</title>", style, *self._parts, "</svg>", ""])

    def _frame(self) -> None:
        idle, interval, count = self._facts["policy"].split(":")
        held = f"held: idle {idle} s, interval {interval} s, count {count}"
        self._text(10, 20, held if self._arm == "held" else "plain", "title")
        for x, name in ((_CLIENT, "client"), (_FIREWALL, self._box()), (_SERVER, "server")):
            self._text(x, 48, name, anchor="middle")
            self._line(x, 56, x, self._bottom, "lane")
        for second in range(int(self._longest) + 1):
            y = self._y(second) if second else _TOP + _HANDSHAKE
            if second % 2 == 0:
                self._text(34, y + 4, f"{second} s", "dim", "end")
            self._line(38, y, _SERVER, y, "tick")

    def _box(self) -> str:
        return "proxy" if self._fault == "gateway-timeout" else "firewall"

    def _memory(self) -> None:
        """Draw for how long the box knows the connection."""
        end = next((e["at"] for e in self._scene["events"] if e["kind"] in ("expired", "blackhole")), None)
        bottom = self._y(self._scene["seconds"] if end is None else end)
        place = f'x="{_FIREWALL - 5}" y="{_TOP - 6}" width="10" height="{bottom - _TOP + 6:.0f}" rx="5"'
        self._parts.append(f'<rect class="knows" {place}/>')
        if end is not None:
            word = {"blackhole": "the path dies", "gateway-timeout": "has waited enough"}.get(
                self._fault, "forgets"
            )
            speaks = any(e["from"] == "firewall" and e["at"] - end < _APART for e in self._scene["events"])
            self._text(_FIREWALL + 12, bottom + (16 if speaks else 4), word, "label bad")

    def _waiting(self) -> None:
        self._line(_CLIENT, self._y(0.0001), _CLIENT, self._y(self._scene["seconds"]), "waits")

    def _arrow(self, row: Row) -> None:
        y = self._y(row.at) if row.at > _APART else _TOP + (0 if row.label == "connect" else 17)
        if row.label and y - self._last < 14 and row.halves & self._halves:
            y = self._last + 14
        self._last, self._halves = y, row.halves
        x1, x2 = _x(row.start), _x(row.end)
        way = 1 if x2 > x1 else -1
        if row.lost:
            x2 = _FIREWALL - way * 9
        x1, x2 = x1 + way * (8 if row.start == "firewall" else 3), x2 - way * (4 if not row.lost else 0)
        bad = row.lost or row.bad
        self._line(x1, y, x2, y, "lost" if bad else "packet")
        if row.lost:
            for dy in (-4, 4):
                self._line(x2 - 4, y - dy, x2 + 4, y + dy, "lost")
        else:
            self._head(x2, y, way, bad)
        if row.both:
            self._head(x1 + way, y, -way, bad)
        if row.label:
            # Whole arrows are named between the client and the box, halves where they are.
            middle = (_CLIENT + _FIREWALL) / 2 if not (row.lost or row.start == "firewall") else (x1 + x2) / 2
            self._text(middle, y - 4, row.label, "label bad" if bad else "label", "middle")

    def _head(self, x: float, y: float, way: int, bad: bool) -> None:
        self._parts.append(
            f'<path class="{"wrong" if bad else "head"}" d="M{x:.0f} {y:.0f}l{-way * 8} -4v8z"/>'
        )

    def _outcome(self) -> tuple[str, bool]:
        got, seconds = self._scene["got"], self._scene["seconds"]
        if got == "timed out":
            return "no answer, no error: waits for ever", False
        if got == "200":
            return f"the answer, after {seconds:.1f} s", True
        if got.isdigit():
            return f"{got} after {seconds:.1f} s, not the answer", False
        return f"{got.removeprefix('error: ')}, after {seconds:.1f} s", False

    def _verdict(self) -> None:
        words, good = self._outcome()
        y = self._y(self._scene["seconds"])
        self._parts.append(f'<circle class="{"good" if good else "bad"}" cx="{_CLIENT}" cy="{y:.0f}" r="6"/>')
        mark = "✓" if good else "✗"
        self._text(10, self._bottom + 30, f"{mark} {words}", "title good" if good else "title bad")

    def _text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        place = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"'
        self._parts.append(f'<text class="{kind}" {place}>{escape(text)}</text>')

    def _line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self._parts.append(f'<line class="{kind}" x1="{x1:.0f}" y1="{y1:.1f}" x2="{x2:.0f}" y2="{y2:.1f}"/>')


def _x(where: str) -> int:
    return {"client": _CLIENT, "firewall": _FIREWALL, "server": _SERVER}[where]


def rows(events: list[dict[str, Any]]) -> list[Row]:
    """Return the arrows of a trace: packets that answer each other at once are one."""
    arrows: list[Row] = []
    left = [event for event in events if event["from"]]
    while left:
        first = left.pop(0)
        row = _row(first)
        if not row.lost and row.start != "firewall":
            together = 0
            while together < len(left) and _belongs(first, left[together]):
                together += 1
            row = _row(first, left[:together])
            left = left[together:]
        if arrows and arrows[-1].lost and row.lost and arrows[-1].end == row.end and row.label:
            same = row.label == next(a.label for a in reversed(arrows) if a.label)
            row = _row(first, label="") if same else row
        arrows.append(row)
    return arrows


def _belongs(first: dict[str, Any], later: dict[str, Any]) -> bool:
    """Tell whether a packet is the bare acknowledgement, or the handshake's next, of one before."""
    if later["kind"] not in ("passed", "answer") or later["at"] - first["at"] > _APART:
        return False
    return later["what"] in ("SYN-ACK", "ACK", "answer") and first["what"] in ("SYN", "probe", *_data(first))


def _data(event: dict[str, Any]) -> list[str]:
    return [event["what"]] if "bytes" in event["what"] else []


def _row(first: dict[str, Any], answers: list[dict[str, Any]] | None = None, label: str | None = None) -> Row:
    what = first["what"]
    lost = first["kind"] == "dropped"
    name = {"SYN": "connect", "probe": "probe", "RST": "reset"}.get(what.partition(":")[0])
    if name is None:
        if first["from"] == "firewall":
            name = "504" if "after" in what else "reset" if "RST" in what else "close"
        else:
            name = "request" if first["from"] == "client" else "answer"
    bad = "RST" in what or first["kind"] == "closed"
    start, end = first["from"], first["to"] or "client"
    both = bool(answers) and name in ("connect", "probe")  # of data, the acknowledgement goes without saying
    return Row(first["at"], name if label is None else label, start, end, both, lost, bad)
