"""Markup: what is not HTML already is escaped on its way in."""

from __future__ import annotations

from keptalive.diagnosis.report.markup import join, lines, tag


def test_everything_is_escaped() -> None:
    """Text and attributes, tags and quotes, and characters that reorder what is read."""
    hostile = "<b onclick='x'>\"&\u202e\x1b[31m"

    assert tag("p", hostile) == "<p>&lt;b onclick='x'&gt;\"&amp;\\u202e\\x1b[31m</p>"
    assert tag("a", "x", href=hostile) == (
        '<a href="&lt;b onclick=&#x27;x&#x27;&gt;&quot;&amp;\\u202e\\x1b[31m">x</a>'
    )


def test_markup_stays() -> None:
    """What was made here is taken as it is, once."""
    assert tag("p", tag("b", "a < b"), " & ", None, 5) == "<p><b>a &lt; b</b> &amp; 5</p>"
    assert join("<", tag("br")) == "&lt;<br/>"


def test_attributes() -> None:
    """`class_` is class, `_` a hyphen, None is none, a tenth of a pixel is enough."""
    assert tag("line", class_="axis", x1=1.0, y1=0.25, x2=3, stroke_width=None, aria_label="x") == (
        '<line class="axis" x1="1" y1="0.2" x2="3" aria-label="x"/>'
    )


def test_lines_of_code() -> None:
    """Line breaks stay, all else is escaped."""
    assert lines("if a < b:\n\tpass") == "if a &lt; b:\n\\x09pass"
