"""idle-drop:SECONDS, as it is written."""

from __future__ import annotations

import pytest

from keptalive.errors import LabError
from keptalive.lab.faults import FAULTS, parse
from keptalive.lab.faults.idle_drop import IdleDrop


@pytest.mark.parametrize(("text", "seconds"), [("idle-drop:5", 5), (" idle-drop:0.25 ", 0.25)])
def test_it_is_read_and_written(text: str, seconds: float) -> None:
    """str() gives back what parse() takes."""
    fault = parse(text)

    assert fault == IdleDrop(seconds)
    assert parse(str(fault)) == fault


@pytest.mark.parametrize("parameters", ["", "x", "0", "-1", "nan", "inf"])
def test_nonsense_is_refused(parameters: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(LabError, match="idle-drop:SECONDS needs a number of seconds above zero"):
        parse(f"idle-drop:{parameters}")


def test_each_fault_says_which_engine_can_do_it() -> None:
    """And why another can't."""
    assert FAULTS["idle-drop"].engines == ("kernel", "relay")
    assert IdleDrop(5).refusal("kernel") is None
    assert IdleDrop(0.5).refusal("relay") is None
    assert IdleDrop(0.5).refusal("kernel") == "connection tracking counts whole seconds, not 0.5"
    assert IdleDrop(5).refusal("oracle") == "idle-drop is not for the oracle engine"
