"""The manual page keptalive(1), in the man macros that every man program knows."""

from __future__ import annotations

import re
import textwrap

from generating.exits import exit_codes
from generating.grammar import Argument, Command
from keptalive._version import __version__
from keptalive.cli.main import SUMMARY
from keptalive.environment import VARIABLE
from keptalive.policy import Policy

DATE = "2026-11-27"  # when the page last changed in a way that readers would notice

_HEAD = r""".\" Written by docs/generate.py.
.TH KEPTALIVE 1 "@DATE@" "keptalive @VERSION@" "User Commands"
.SH NAME
keptalive \- @SUMMARY@
.SH SYNOPSIS
.B keptalive
[\fB\-h\fR] [\fB\-\-version\fR] \fIVERB\fR ...
.SH DESCRIPTION
A firewall that forgets idle connections makes slow requests hang for ever.
keptalive shows which connections are at risk, keeps them alive with TCP
keepalive, measures how long a path remembers, and builds such a firewall on
this machine.
.PP
Results go to standard output, progress and complaints to standard error.
\fB\-\-json\fR prints one JSON object with \(dqschema\(dq: 1.
An error is an object with \(dqerror\(dq and \(dqhint\(dq.
"""

_TAIL = r""".SH ENVIRONMENT
.TP
.B @VARIABLE@
The default policy of attach, run and the library, written
IDLE:INTERVAL:COUNT[:USER_TIMEOUT]
in seconds, or a preset's name; or the word off, which switches everything off.
Without it, or where it makes no sense, which a warning says, the default is
@POLICY@.
.SH EXAMPLES
.TP
.B keptalive ps \-\-unprotected
Which connections are at risk, and whose?
.TP
.B keptalive attach $(pidof wget)
Protect a program that is running and waiting.
.TP
.B keptalive run \-\- make deploy
Start a program, its whole process tree protected.
.TP
.B keptalive probe host.example:443
How long may a connection on this path be idle?
.SH SEE ALSO
.BR tcp (7),
.BR socket (7),
.BR ss (8),
.BR netstat (8)
"""


def manual(commands: list[Command]) -> str:
    """Return the page."""
    head = _HEAD.replace("@VERSION@", __version__).replace("@DATE@", DATE)
    head = head.replace("@SUMMARY@", _text(SUMMARY.rstrip(".")))
    lines = [head.rstrip("\n")]
    lines.append(".SH OPTIONS")
    lines += [".TP", r"\fB\-h\fR, \fB\-\-help\fR", "Show the help; after a verb, that verb's."]
    lines += [".TP", r"\fB\-\-version\fR", "Print the version."]
    lines.append(".SH VERBS")
    for command in commands:
        lines += [f".SS keptalive {command.name}", _usage(command.usage), ".PP", _text(command.description)]
        for one in (*command.positionals, *command.options):
            if "--help" not in one.flags:
                lines += [".TP", _heading(one), _text(one.help)]
        if command.epilog:
            lines += [".PP", ".nf", _escaped(command.epilog), ".fi"]
    lines.append(".SH EXIT STATUS")
    for code, meaning in exit_codes():
        lines += [".TP", f".B {code}", _text(meaning)]
    lines += [".PP", r"\fBkeptalive run\fR returns the exit status of its program."]
    tail = _TAIL.replace("@VARIABLE@", _escaped(VARIABLE)).replace("@POLICY@", str(Policy()))
    return "\n".join([*lines, tail])


def _usage(usage: str) -> str:
    """Return a synopsis with the words to be typed in bold."""
    text = _text(usage)
    return re.sub(
        r"((?<![\w\\])(?:\\-){1,2}[a-z]+(?:\\-[a-z]+)*|^keptalive(?: [a-z]+)+)", r"\\fB\1\\fR", text
    )


def _heading(one: Argument) -> str:
    value = f"\\fI{_escaped(one.value)}\\fR" if one.value else ""
    if one.optional and value:
        value = f"[{value}]"
    if one.repeats and not one.flags:
        value += " ..."
    flags = ", ".join(f"\\fB{_escaped(flag)}\\fR" for flag in one.flags)
    return f"{flags} {value}".strip()


def _text(text: str) -> str:
    """Return text to be filled, each sentence on a line of its own, as man wants it, and none too long."""
    sentences = re.split(r"(?<=[a-z)]\.) (?=[A-Z])", text)
    wrap = textwrap.TextWrapper(width=72, break_long_words=False, break_on_hyphens=False)
    return _escaped("\n".join(line for sentence in sentences for line in wrap.wrap(sentence)))


def _escaped(text: str) -> str:
    """Return text in which nothing is a request or an escape sequence."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)
