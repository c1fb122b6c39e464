"""The public names: one list, what type checkers see and what is there at run time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import keptalive


def test_type_checkers_see_the_same_names() -> None:
    """The names under TYPE_CHECKING are those that load at run time."""
    tree = ast.parse(Path(keptalive.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    }

    assert seen == set(keptalive._HOME)


def test_every_name_loads() -> None:
    """Each public name is there, and no submodule took the place of a function."""
    for name in keptalive._HOME:
        value = getattr(keptalive, name)
        assert callable(value), name


def test_submodules_do_not_hide_functions() -> None:
    """No module of the package bears a public name: loading it would replace the function."""
    here = Path(keptalive.__file__).parent
    modules = {path.stem for path in here.glob("*.py")} | {
        path.name for path in here.iterdir() if path.is_dir()
    }

    assert modules & set(keptalive._HOME) == set()


def test_unknown_names_are_attribute_errors() -> None:
    """A misspelt name fails as it does in any module."""
    assert not hasattr(keptalive, "hodl")


def test_importing_loads_nothing_heavy() -> None:
    """`import keptalive` loads nothing but its names: no client library, no ssl, not even typing."""
    code = (
        "import sys; before = set(sys.modules); import keptalive; print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert set(loaded) <= {"keptalive", "keptalive._version", "__future__"}
