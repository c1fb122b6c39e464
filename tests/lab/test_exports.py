"""Importing keptalive.lab costs nothing, and its names are there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import keptalive.lab
from support import clean_environment


def test_the_names_are_loaded_when_used() -> None:
    """No engine, no asyncio, no subprocess before."""
    costly = {"asyncio", "subprocess", "keptalive.lab.opening"}
    code = f"import sys, keptalive.lab; print({costly} & set(sys.modules))"
    environment = {**clean_environment(), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"
    assert {"Lab", "LabEvent", "open_lab"} <= set(dir(keptalive.lab))
    assert keptalive.lab.LabEvent.__module__ == "keptalive.lab.event"
    with pytest.raises(AttributeError, match="no attribute 'close_lab'"):
        _ = keptalive.lab.close_lab
