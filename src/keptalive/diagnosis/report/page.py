"""The frame of a page and its look: on a screen light or dark as the reader has it, printed on white.

Rule: the page loads nothing: its own style sheet, drawings inside, no script. A policy in its head has the
browser enforce that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from keptalive._version import __version__
from keptalive.diagnosis.report.markup import Markup, join, lines, tag

# Should anything here ever try to load something, or run, the browser refuses.
_NOTHING_FROM_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'"


def page(
    title: str,
    *,
    kind: str,
    where: str,
    sentence: str,
    facts: Iterable[Markup],
    body: Iterable[Markup],
    footer: Iterable[str],
) -> str:
    """Return a whole page: what was measured and where, the verdict in a sentence, and the rest."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_NOTHING_FROM_ELSEWHERE),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"keptalive {__version__}"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(_STYLE)),
    )
    header = tag(
        "header",
        tag("p", tag("strong", kind), " ", tag("span", where, class_="where"), class_="kind"),
        tag("h1", sentence),
        tag("div", *facts, class_="facts"),
    )
    end = tag("footer", *(tag("p", line) for line in (*footer, f"Made by keptalive {__version__}.")))
    whole = tag("html", head, tag("body", tag("main", header, *body, end)), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def fact(label: str, value: object, *, tone: str | None = None) -> Markup:
    """Return one of the few things that a reader in a hurry has to know."""
    return tag("p", tag("span", label), tag("b", value), class_=f"fact {tone or ''}".strip())


def section(title: str, *content: object) -> Markup:
    """Return a part of the page under its heading."""
    return tag("section", tag("h2", title), *content)


def figure(drawing: Markup, caption: object) -> Markup:
    """Return a drawing with what is to be seen in it."""
    return tag("figure", tag("div", drawing, class_="drawing"), tag("figcaption", caption))


def table(header: Sequence[object], rows: Iterable[Sequence[object]], *, class_: str | None = None) -> Markup:
    """Return a table; its first column names the rows."""
    head = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in header)))
    body = tag("tbody", *(_row(row) for row in rows))
    return tag("div", tag("table", head, body, class_=class_), class_="scroll")


def _row(row: Sequence[object]) -> Markup:
    first, *others = row
    return tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in others))


def listing(items: Iterable[object]) -> Markup:
    """Return a list of sentences."""
    return tag("ul", *(tag("li", item) for item in items))


def code(text: str) -> Markup:
    """Return lines of code."""
    return tag("pre", tag("code", lines(text)))


def note(*content: object) -> Markup:
    """Return a paragraph that a reader must not miss."""
    return tag("p", join(*content), class_="note")


_STYLE = Path(__file__).with_name("style.css").read_text("utf-8")
