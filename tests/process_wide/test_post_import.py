"""The finder: told after the import, and invisible otherwise."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from keptalive.process_wide.post_import import PostImport


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Modules that can be imported, and the list of those whose end of import was told."""
    (tmp_path / "meant_module.py").write_text("ran = True\nspec, loader = __spec__.loader, __loader__\n")
    (tmp_path / "broken_module.py").write_text("1/0\n")
    (tmp_path / "meant_package").mkdir()
    (tmp_path / "meant_package" / "__init__.py").write_text("")
    (tmp_path / "meant_package" / "inner.py").write_text("import meant_module\n")
    names = {"meant_module", "broken_module", "meant_package.inner", "missing_module"}
    told: list[str] = []
    finder = PostImport(names, told.append)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.meta_path.insert(0, finder)
    yield told
    sys.meta_path.remove(finder)
    for name in {*names, "meant_package"} & sys.modules.keys():
        del sys.modules[name]


def test_told_when_the_module_has_run(told: list[str]) -> None:
    """Once, and not again for an import of what is loaded."""
    import meant_module  # type: ignore[import-not-found]

    assert meant_module.ran
    importlib.import_module("meant_module")
    assert told == ["meant_module"]


def test_the_module_never_sees_a_strange_loader(told: list[str]) -> None:
    """Neither while it runs nor afterwards."""
    import meant_module

    loaders = {meant_module.spec, meant_module.loader, meant_module.__loader__, meant_module.__spec__.loader}
    assert {type(loader) for loader in loaders} == {SourceFileLoader}
    assert len(loaders) == 1


def test_submodules_and_imports_within_imports(told: list[str]) -> None:
    """The inner one is told first."""
    importlib.import_module("meant_package.inner")

    assert told == ["meant_module", "meant_package.inner"]


def test_a_module_that_fails_to_import_fails_as_ever(told: list[str]) -> None:
    """With its own exception, and nobody is told."""
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("broken_module")
    with pytest.raises(ModuleNotFoundError, match="No module named 'missing_module'"):
        importlib.import_module("missing_module")

    assert told == []
    assert "broken_module" not in sys.modules


def test_looking_for_a_module_is_not_importing_it(told: list[str]) -> None:
    """find_spec() answers with what works like the real loader."""
    spec = importlib.util.find_spec("meant_module")

    assert spec is not None
    assert spec.loader is not None
    assert "ran = True" in (spec.loader.get_source("meant_module") or "")  # type: ignore[attr-defined]
    assert told == []


def test_reloading_is_told_again(told: list[str]) -> None:
    """The classes are new ones then."""
    import meant_module

    importlib.reload(meant_module)

    assert told == ["meant_module", "meant_module"]


def test_two_such_finders_do_not_chase_each_other(told: list[str]) -> None:
    """As with another tool that watches imports in the same way; both are told."""
    theirs: list[str] = []
    other = PostImport({"meant_module"}, theirs.append)
    sys.meta_path.insert(0, other)
    try:
        importlib.import_module("meant_module")
    finally:
        sys.meta_path.remove(other)

    assert told == theirs == ["meant_module"]
