"""HTML and SVG as values: whatever is not Markup already is escaped on its way in.

Rule: the only place that writes a tag, so that nothing from the network can be one.
"""

from __future__ import annotations

import html

from keptalive.escaping import escape


class Markup(str):
    """Text that is HTML, and safe."""

    __slots__ = ()


_EMPTY = {"meta", "br", "line", "rect", "circle", "path"}  # need no end where they have no content


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """Return an element. None is left out, of content and attributes; `class_` is class, `_` a hyphen."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(escape(_plain(value)), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY and not content:
        return Markup(f"<{name}{words}/>")
    return Markup(f"<{name}{words}>{join(*content)}</{name}>")


def join(*content: object) -> Markup:
    """Return all of it, one after the other, escaped where it is not Markup."""
    return Markup("".join(_text(part) for part in content if part is not None))


def _text(part: object) -> str:
    return part if isinstance(part, Markup) else html.escape(escape(part), quote=False)


def lines(text: str) -> Markup:
    """Return a text of several lines, each escaped: for <pre>, where a line break is one."""
    return Markup("\n".join(_text(line) for line in text.split("\n")))


def _plain(value: object) -> object:
    """A tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
