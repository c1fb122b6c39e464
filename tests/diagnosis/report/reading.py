"""A page as a browser takes it apart: is it well formed, does it run or load anything, what does it say."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "br"}


@dataclass
class Page:
    """What was found on a page."""

    text: str = ""
    style: str = ""
    elements: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    policy: str | None = None  # of what may be loaded
    faults: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        page = self.page
        page.elements[tag] += 1
        for name, value in attrs:
            page.attributes.add(name)
            if name == "class":
                page.classes.update((value or "").split())
            if name == "href":
                page.links.append(value or "")
        if ("http-equiv", "Content-Security-Policy") in attrs:
            page.policy = dict(attrs)["content"]
        if len({name for name, _ in attrs}) != len(attrs):
            page.faults.append(f"<{tag}> has an attribute twice")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.page.faults.append(f"</{tag}> closes nothing, at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.page.style += data
        else:
            self.page.text += data + " "

    def handle_comment(self, data: str) -> None:
        self.page.faults.append(f"a comment: {data}")

    def finish(self) -> Page:
        self.close()
        if self._open:
            self.page.faults.append(f"never closed: {self._open}")
        return self.page


def read(html: str) -> Page:
    """Take a page apart, and assert that it is whole, runs nothing and loads nothing."""
    reader = _Reader()
    reader.feed(html)
    page = reader.finish()

    assert page.faults == []
    assert html.startswith("<!DOCTYPE html>\n")
    assert not {"script", "iframe", "object", "embed", "link", "img", "base", "form"} & page.elements.keys()
    assert not [
        name for name in page.attributes if name.startswith("on") or name in ("src", "srcset", "style")
    ]
    assert all(link.startswith("https://") for link in page.links)
    assert page.elements["a"] == len(
        page.links
    )  # links are for people to follow, nothing follows them by itself
    assert not re.search(r"url\(|@import|expression", page.style)
    assert page.policy == "default-src 'none'; style-src 'unsafe-inline'"
    return page
