"""The report: what is covered and what is not, in words."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import keptalive
from keptalive import Policy


def test_it_prints() -> None:
    """Policy first, then what is covered, then what is not, why, and what to use instead."""
    lines = str(keptalive.install(Policy(20, 10, 3, user_timeout=55.5))).splitlines()

    assert lines[0].startswith("keptalive is on for this process: idle 20 s, interval 10 s, count 3")
    assert lines[0].endswith("user timeout 55.5 s (set exactly)")
    assert lines[1] == "covered:"
    assert "not covered:" in lines
    assert "  connections that are open already" in lines
    assert "    instead: keptalive.hold(client)" in lines


def test_the_default_says_that_it_is_one() -> None:
    """And with which manners."""
    report = keptalive.install(networks="10.0.0.0/8", ports=443)

    assert report.exact is False
    assert "the default" in str(report).splitlines()[0]
    assert str(report).splitlines()[1] == "only connections in 10.0.0.0/8 to port 443"


def test_libraries_are_covered_now_or_once_they_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are named; only the second has to be waited for."""
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    before = keptalive.install()
    keptalive.uninstall()
    uvloop = ModuleType("uvloop")
    uvloop.Loop = type("Loop", (), {"create_connection": None})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)
    after = keptalive.install()

    assert "uvloop's create_connection(), once uvloop is imported" in before.covers
    assert "uvloop's create_connection()" in after.covers


@pytest.mark.parametrize("library", ["grpc", "psycopg2", "pyodbc"])
def test_libraries_with_sockets_of_their_own_are_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If they are loaded, with their own way to keep a connection alive."""
    monkeypatch.setitem(sys.modules, library, ModuleType(library))
    (row,) = [row for row in keptalive.install().cannot if row.what == library]

    assert "keptalive run" in row.instead
    assert str(row).startswith(f"{library}: its connections are opened outside Python; instead: ")


def test_pycurl_is_not_covered_where_only_some_networks_are_meant() -> None:
    """libcurl does not say where a socket is to lead."""
    report = keptalive.install(ports=443)

    assert any(row.what == "pycurl.Curl handles" for row in report.cannot)
    assert not any("pycurl" in row for row in report.covers)


def test_the_how_to_shows_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's example, as a program with grpc and uvloop sees it."""
    for library in ("gevent", "gevent._socket3", "pycurl", "psycopg", "psycopg2", "MySQLdb", "pyodbc"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    uvloop = ModuleType("uvloop")
    uvloop.Loop = type("Loop", (), {"create_connection": None})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)
    monkeypatch.setitem(sys.modules, "grpc", ModuleType("grpc"))
    page = Path(__file__).parents[2] / "docs" / "howto" / "protect-a-whole-process.md"

    assert str(keptalive.install()) in page.read_text()
