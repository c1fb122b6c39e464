"""The entry point: find the verb, load its file, translate errors into exit codes.

Rule: cheap. Only the verb that was called is loaded, with what it needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from keptalive._version import __version__

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

# verb -> what it does, in the order of the help
VERBS = {
    "demo": "a firewall that forgets: plain clients lose, held ones do not",
    "ps": "this machine's TCP connections: owner, timer, protected or not",
    "attach": "turn keepalive on for the connections of a running program",
    "run": "run any program, with keepalive on its whole process tree",
    "probe": "how long a path lets a connection be idle, and what happens then",
    "diagnose": "what kills a long request, and whether keepalive helps",
    "serve": "the far end of a path of yours: idle listener, slow endpoint",
    "lab": "the firewall that forgets, for your own tests",
    "completion": "what teaches bash, zsh or fish to complete all of this",
}

# verb -> what a number is to be written as that it does not take as it stands
_HINTS = {
    "ps": "a process's number follows -p: keptalive ps -p {}",
    "probe": "a port follows the host after a colon: HOST:{}",
    "serve": "a port follows --port: keptalive serve --port {}",
}

# word -> where that is, which is no verb: each of them is in the summary, or is a function of the library
_ELSEWHERE = {
    "hold": "in Python it is keptalive.hold(client); for any other program, keptalive run -- CMD",
    "install": "in Python it is keptalive.install(); for any other program, keptalive run -- CMD",
    "explain": "in Python it is keptalive.explain(error); for a URL, keptalive diagnose URL",
    "see": "that is keptalive ps",
    "rescue": "that is keptalive attach PID",
    "measure": "that is keptalive probe HOST",
    "reproduce": "that is keptalive lab run -- CMD",
}

SUMMARY = "TCP keepalive for any program: hold, see, rescue, measure, explain, reproduce."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    try:
        try:
            return _dispatch(list(sys.argv[1:] if argv is None else argv))
        finally:
            if sys.stdout is not None:  # None if it was closed
                sys.stdout.flush()  # while what becomes of it can be told; --help too ends here
    except BrokenPipeError:
        # The reader (head, less) has gone: nothing to say.
        _flush_no_more()
        return 0
    except OSError as error:
        if not _output_fails(error):
            raise
        _flush_no_more()
        print(f"keptalive: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 2


def _output_fails(error: OSError) -> bool:
    """Tell whether it is stdout that failed: errors of files name them, and sockets fail otherwise."""
    import errno

    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    return error.filename is None and error.errno in full


def _flush_no_more() -> None:
    """Have nothing be flushed at exit into what does not take it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in VERBS:
        return _run_verb(arguments[0], arguments[1:])
    parser = _front_page()
    if arguments and not arguments[0].startswith("-"):
        parser.error(_no_verb(arguments[0]))
    parser.parse_args(arguments)  # --help, --version, or an unknown option: does not return
    parser.print_help()
    return 2


def _no_verb(word: str) -> str:
    if word in _ELSEWHERE:
        return f"there is no verb {word!r}: {_ELSEWHERE[word]}"
    from keptalive.spelling import similar

    guess = similar(word, VERBS)
    return f"there is no verb {word!r}: " + (
        f"did you mean {guess}?" if guess else "keptalive --help lists them"
    )


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse's own, but asks for the terminal's width without shutil and its three compressors: 3 ms."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Keep lines as they are, but for those that are too long."""
        return "\n".join(indent + part for line in text.splitlines() for part in _broken(line, width))


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are an object for programs that asked for JSON."""

    as_json = False
    hint = ""  # what a number that nothing takes was probably meant for

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Note whether JSON was asked for; the parser of a verb under a verb is asked too."""
        own = list(sys.argv[1:] if args is None else args)
        self.as_json = "--json" in own[: own.index("--") if "--" in own else None]
        return super().parse_known_args(own, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Let what stdout does not take come to light: argparse passes over it."""
        if message and file is not None and file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and exit with 2."""
        what, _, words = message.partition(": ")
        if self.hint and what == "unrecognized arguments" and words.isdigit():
            message = f"{message}; {self.hint.format(words)}"
        elif guess := self._meant(message):
            message = f"{message}; did you mean {guess}?"
        if self.as_json:
            from keptalive.cli.output import print_json

            print_json({"error": message, "hint": f"{self.prog} --help lists the options"})
            raise SystemExit(2)
        super().error(message)

    def _meant(self, message: str) -> str | None:
        """Return the option, or the word, that somebody probably meant who wrote what there is not."""
        import re

        from keptalive.spelling import similar

        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown is not None:
            return similar(unknown[1], _options(self))
        choice = re.search(r"invalid choice: '?([^'\s]+)'? \(choose from (.*)\)", message)
        return None if choice is None else similar(choice[1], re.findall(r"[^\s,']+", choice[2]))


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the long options of a verb, and of those below it."""
    found: list[str] = []
    for action in parser._actions:
        found += [option for option in action.option_strings if option.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):
            found += [option for inner in action.choices.values() for option in _options(inner)]
    return found


def verb_parser(verb: str) -> _Parser:
    """Return the parser of one verb; the reference in the docs is written from it too."""
    parser = _Parser(
        prog=f"keptalive {verb}",
        description=_sentence(VERBS[verb]),
        allow_abbrev=False,
        formatter_class=_Help,
    )
    _module(verb).add_arguments(parser)
    return parser


def _run_verb(verb: str, arguments: list[str]) -> int:
    from keptalive.cli.exits import Exit, exit_for
    from keptalive.cli.output import complain
    from keptalive.errors import KeptaliveError

    parser = verb_parser(verb)
    parser.hint = _HINTS.get(verb, "")
    args = parser.parse_args(arguments)
    _say_warnings_plainly()
    try:
        return int(_module(verb).run(args))
    except KeptaliveError as error:
        complain(error, as_json=getattr(args, "json", False))
        return exit_for(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _say_warnings_plainly() -> None:
    """Have a KeptaliveWarning be a line on stderr, once, instead of a place in our source."""
    import warnings

    said = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in said:
            said.add(str(message))
            print(f"keptalive: {message}", file=sys.stderr)

    warnings.showwarning = show


def _module(verb: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"keptalive.cli.{verb}")


def _front_page() -> argparse.ArgumentParser:
    width = max(map(len, VERBS)) + 2
    verbs = "\n".join(f"  {verb:{width}}{text}" for verb, text in VERBS.items())
    parser = _Parser(
        prog="keptalive",
        usage="keptalive [-h] [--version] VERB ...",
        description=f"{SUMMARY}\n\nverbs:\n{verbs}",
        epilog="keptalive VERB --help tells more about each.",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"keptalive {__version__}")
    parser.add_argument("verb", nargs="?", choices=list(VERBS), metavar="VERB", help=argparse.SUPPRESS)
    return parser


def _broken(line: str, width: int) -> list[str]:
    """Return a line as several, if it is too long: what stands in its last column stays there."""
    if len(line) <= width:
        return [line]
    import textwrap  # as argparse itself does, for whoever asks for help

    column = line.rfind("  ") + 2 if "  " in line else 0
    return textwrap.wrap(line, width, subsequent_indent=" " * column, break_on_hyphens=False)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _columns() -> int:
    """Return the width of the terminal as shutil.get_terminal_size() would."""
    try:
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns
    except (ValueError, OSError):
        return 80
