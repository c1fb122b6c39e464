"""The command line as values, read from its argparse parsers: for completion, the manual and the reference.

Rule: nothing here knows a shell or a markup; nothing elsewhere knows argparse.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from keptalive.cli.main import VERBS, verb_parser
from keptalive.lab.faults import FAULTS
from keptalive.presets import PRESETS

# What a metavar of the parsers stands for; whatever is not named here has nothing to offer.
_KINDS = {
    "FILE": "file",
    "PID": "pid",
    "NAME": "process",
    "HOST[:PORT]": "host",
    "HOST:PORT": "host",
    "ADDRESS": "host",
    "CMD": "command",
    "POLICY": "preset",
    "FAULT": "faults",
    "FAULT[,FAULT]": "faults",
}


@dataclass(frozen=True)
class Argument:
    """An option, or a positional argument (no flags)."""

    flags: tuple[str, ...]
    value: str  # how its value is called; "" if it takes none
    optional: bool  # the value may be left out
    repeats: bool
    #: What it is completed with: "file", "pid", "process", "host", "command", "words", "list" (of words, with
    #: commas between them) or "".
    kind: str
    words: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Command:
    """A verb, or a verb below one: "lab run"."""

    name: str
    summary: str  # half a sentence, as the front page has it
    description: str
    usage: str
    epilog: str
    arguments: tuple[Argument, ...]

    @property
    def options(self) -> tuple[Argument, ...]:
        """Those with flags."""
        return tuple(one for one in self.arguments if one.flags)

    @property
    def positionals(self) -> tuple[Argument, ...]:
        """Those without."""
        return tuple(one for one in self.arguments if not one.flags)

    @property
    def runs_a_command(self) -> bool:
        """What follows its options is another program's command line."""
        return any(one.kind == "command" for one in self.positionals)


def commands() -> list[Command]:
    """Return every command, in the order of the help; those below a verb in its place."""
    return [command for verb, summary in VERBS.items() for command in _read(verb, summary, verb_parser(verb))]


def below(verb: str) -> list[Command]:
    """Return the commands below a verb: none for most."""
    return [command for command in commands() if command.name.startswith(f"{verb} ")]


def _read(name: str, summary: str, parser: argparse.ArgumentParser) -> Iterator[Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for verb, inner in action.choices.items():
                yield from _read(f"{name} {verb}", helps.get(verb, ""), inner)
            return
    arguments = tuple(_argument(parser, action) for action in parser._actions)
    yield Command(
        name, summary, _plain(parser.description), _usage(parser), (parser.epilog or "").strip(), arguments
    )


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    value = "" if action.nargs == 0 else _value(action)
    words = tuple(map(str, action.choices or ()))
    kind = "words" if words else _KINDS.get(value, "")
    if kind == "preset":
        kind, words = "words", tuple(row.name for row in PRESETS if row.keepalive_helps)
    if kind == "faults":
        kind, words = "list", (*FAULTS, *(row.name for row in PRESETS))
    return Argument(
        tuple(action.option_strings),
        value,
        action.nargs in ("?", "*"),
        action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction),
        kind,
        words,
        parser._get_formatter()._expand_help(action),
    )


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the synopsis on one line, without "usage:"."""
    return _plain(parser.format_usage()).removeprefix("usage: ")


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())
