"""A survey of connections as text or as JSON: one loop writes both.

Rule: text is made once for each distinct owner, address, port and combination of facts,
escaped there, and then only joined: thirty thousand rows take no longer than with ss.
A style says how these pieces are spelled, not how a row is put together.
"""

from __future__ import annotations

from keptalive.cli.output import escape
from keptalive.linux.endpoints import address_text
from keptalive.linux.sock_diag import Record
from keptalive.protection import Facts
from keptalive.survey import Memo, Survey

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    class Style(Protocol):
        """How the pieces of a row are spelled; a row is these, with nothing in between."""

        between: str
        end: str

        def owner(self, pid: int | None) -> str:
            """Return the beginning of a row; a negative *pid* is ~uid, of a user whose process is hidden."""

        def facts(self, facts: Facts) -> tuple[str, Memo[int, str], str]:
            """Return what comes before the countdown, how to spell that (ms), and what comes after."""

        def address(self, recorded: bytes) -> str:
            """Return an address."""


class Rows:
    """Turns the batches of a survey into lines."""

    def __init__(self, survey: Survey, style: Style) -> None:
        self._survey = survey
        self._owner, self._address = Memo(style.owner), Memo(style.address)
        self._between, self._end = style.between, style.end
        self._facts: Memo[bytes, tuple[str, Memo[int, str], str]] = Memo(
            lambda key: style.facts(survey.facts[key])
        )

    def lines(self, batch: list[Record]) -> list[str]:
        """Return each connection as one line, without its end."""
        facts, address, between, end = self._facts, self._address, self._between, self._end
        owners = map(self._owner.__getitem__, self._survey.owners_or_users(batch))
        return [
            f"{owner}{before}{countdown[expires]}{after}"
            f"{address[source]}:{sport}{between}{address[peer]}:{dport}{end}"
            for owner, (sport, dport, key, source, peer, expires, _, _) in zip(owners, batch, strict=True)
            for before, countdown, after in (facts[key],)
        ]

    def spelled(self, key: bytes) -> tuple[str, str]:
        """Return the pieces of a row that its facts make: they change when the facts do."""
        before, _, after = self._facts[key]
        return before, after


class Json:
    """One object a row."""

    between, end = '", "remote": "', '"}'

    def __init__(self, survey: Survey) -> None:
        self._names = survey.names
        self._seconds: Memo[int, str] = Memo(lambda milliseconds: str(milliseconds / 1000))
        self._none: Memo[int, str] = Memo(lambda _: "null")

    def owner(self, pid: int | None) -> str:
        """Return pid and process."""
        pid = None if pid is not None and pid < 0 else pid
        return f'{{"pid": {word(pid)}, "process": {"null" if pid is None else quoted(self._names[pid])}, '

    def facts(self, facts: Facts) -> tuple[str, Memo[int, str], str]:
        """Return all from state to user_timeout."""
        asked = "".join(f'"{name}": {word(getattr(facts.settings, name))}, ' for name in _SETTINGS)
        return (
            f'"state": "{facts.state}", "timer": "{facts.timer}", "expires": ',
            self._none if facts.timer == "off" else self._seconds,
            f', "probes": {facts.probes}, "protected": {word(facts.protected)}, {asked}"local": "',
        )

    def address(self, recorded: bytes) -> str:
        """Return an address; an interface's name in it may hold anything but a slash, a colon or a space."""
        return quoted(address_text(recorded))[1:-1]


class Text:
    """Columns; the ends of a connection come last, since an address may have any length."""

    between, end = " -> ", ""

    def __init__(self, survey: Survey, *, owners: bool, exact: bool) -> None:
        self._owners, self._exact = owners, exact
        self._names = survey.names
        self._seconds = Memo(_seconds)
        self._none: Memo[int, str] = Memo(lambda _: "       -")

    def header(self) -> str:
        """Return the line above the rows."""
        owner = "PROCESS              PID  " if self._owners else ""
        asked = "  KEEPALIVE   IDLE  INTERVAL  COUNT  USER TIMEOUT" if self._exact else ""
        return f"{owner}STATE        TIMER       EXPIRES  PROBES  PROTECTED{asked}  LOCAL -> REMOTE"

    def owner(self, pid: int | None) -> str:
        """Return name and number of a process."""
        if not self._owners:
            return ""
        if pid is None:
            name, number = "-", "-"
        elif pid < 0:
            name, number = f"({escape(_user(~pid))[:13]})", "?"
        else:
            name, number = escape(self._names[pid]), str(pid)
        return f"{name:15}  {number:>7}  "

    def facts(self, facts: Facts) -> tuple[str, Memo[int, str], str]:
        """Return all from the state to the last of the settings."""
        asked = ""
        if self._exact:
            on, *rest = (getattr(facts.settings, name) for name in _SETTINGS)
            idle, interval, count, timeout = ("-" if value is None else f"{value:g}" for value in rest)
            asked = f"{_WORDS[on]:9}  {idle:>5}  {interval:>8}  {count:>5}  {timeout:>12}  "
        return (
            f"{facts.state:11}  {facts.timer:9}  ",
            self._none if facts.timer == "off" else self._seconds,
            f"  {facts.probes:6}  {_WORDS[facts.protected]:9}  {asked}",
        )

    def address(self, recorded: bytes) -> str:
        """Return an address."""
        return escape(address_text(recorded))


def folds(header: str, lines: Iterable[str], width: int | None) -> list[int]:
    """Return the columns at which the rows of a table are to be folded, so that they fit.

    Before the two ends, and before the settings too if what is left is still too wide.
    """
    if width is None or max(map(len, (header, *lines))) <= width:
        return []
    ends, settings = header.index("LOCAL"), header.find("KEEPALIVE")
    return [settings, ends] if settings > 0 and len(header[:ends].rstrip()) > width else [ends]


def folded(line: str, at: Sequence[int]) -> str:
    """Return a row with what begins *at* these columns in lines of its own."""
    parts = [line[start:end] for start, end in zip((0, *at), (*at, None), strict=True)]
    return "\n    ".join([*(part.rstrip() for part in parts[:-1]), parts[-1]])


_SETTINGS = ("keepalive", "idle", "interval", "count", "user_timeout")
_WORDS = {True: "yes", False: "no", None: "-"}


def word(value: bool | float | None) -> str:
    """Return a JSON literal for a number, a truth value or None."""
    return "null" if value is None else str(value).lower()


def quoted(text: str) -> str:
    """Return a JSON string."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    import json  # 3 ms that only a strange name costs

    return json.dumps(text)


def _user(uid: int) -> str:
    """Return the name of a user; the number, if there is none."""
    from pwd import getpwuid  # who sees all owners needs no users

    try:
        return getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:6.1f} s" if milliseconds < 10_000 else f"{milliseconds / 1000:6.0f} s"
