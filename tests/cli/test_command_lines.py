"""Any command line is read, or refused in one sentence; nothing of it is done here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keptalive.cli.main import VERBS, main, verb_parser

_VALUES = st.sampled_from(
    ["1", "-1", "0", "nan", "1e400", "9" * 5000, "x", "", "--", "-", "[::1]:443", "off", "=", "%s"]
)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield all that a parser and those under it know by name."""
    for action in parser._actions:
        yield from action.option_strings
        yield from map(str, action.choices or ())
        if isinstance(action, argparse._SubParsersAction):
            for under in action.choices.values():
                yield from _options(under)


def _arguments(verb: str) -> st.SearchStrategy[list[str]]:
    known = st.sampled_from(sorted({*_options(verb_parser(verb)), "--json"}))
    joined = st.tuples(known, st.just("="), _VALUES).map("".join)
    under = st.lists(st.sampled_from(["run", "relay", "faults"]), max_size=verb == "lab")
    return st.tuples(under, st.lists(known | joined | _VALUES | st.text(max_size=4), max_size=6)).map(
        lambda parts: parts[0] + parts[1]
    )


@pytest.mark.parametrize("verb", VERBS)
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_any_arguments_are_read_or_refused(verb: str, data: st.DataObject) -> None:
    """A namespace, help, or one sentence on stderr and 2; for --json, that sentence as an object."""
    arguments = data.draw(_arguments(verb))
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            verb_parser(verb).parse_args(arguments)
            code = None
        except SystemExit as end:
            code = end.code
    said, complained = out.getvalue(), err.getvalue()
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if code == 2 and "--json" in own:
        answer = json.loads(said)
        assert answer.pop("schema") == 1
        assert set(answer) == {"error", "hint"}
        assert complained == ""
    elif code == 2:
        assert said == ""
        assert complained.startswith(f"usage: keptalive {verb}")
        assert complained.count(": error: ") >= 1
    else:
        assert complained == ""
        assert (code, bool(said)) in ((None, False), (0, True))


@given(st.text(max_size=8) | st.sampled_from(list(VERBS)).map(lambda verb: verb[:-1]))
@settings(deadline=None)
def test_any_other_word_is_no_verb(word: str) -> None:
    """It ends with 2 and one sentence: nothing is guessed and done."""
    assume(word not in VERBS and not word.startswith("-"))
    with (
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
        pytest.raises(SystemExit) as end,
    ):
        main([word])

    assert (end.value.code, out.getvalue()) == (2, "")
    assert "error: there is no verb " in err.getvalue()
