"""Do something to a module as soon as it has been imported.

Rule: an import finds what it would have found, by the same finder; the loader that
it gets stands in for the real one until the module runs, and is gone afterwards.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class PostImport:
    """An entry for sys.meta_path: calls *then* with the name of a module of *names* once it is loaded."""

    def __init__(self, names: Collection[str], then: Callable[[str], None]) -> None:
        self._names = names
        self._then = then
        self._asking = threading.local()  # .names: another such finder may ask us while we ask it

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, with a loader that tells when it is done."""
        asked = self._asking.__dict__.setdefault("names", set())
        if name not in self._names or name in asked:
            return None
        asked.add(name)
        try:
            spec = _found_by_others(self, name, path, target)
        finally:
            asked.remove(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Telling(spec.loader, self._then)  # type: ignore[assignment]  # a loader by its methods
        return spec


def _found_by_others(ours: PostImport, name: str, path: Any, target: Any) -> ModuleSpec | None:
    for finder in list(sys.meta_path):
        find = None if finder is ours else getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(name, path, target) if find else None
        if spec is not None:
            return spec
    return None


class _Telling:
    """Stands in for a module's loader until the module runs."""

    def __init__(self, loader: Any, then: Callable[[str], None]) -> None:
        self._loader = loader
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as its loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Hand the module back to its loader, run it, and tell."""
        holders: tuple[tuple[Any, str], ...] = ((module.__spec__, "loader"), (module, "__loader__"))
        for holder, name in holders:
            if getattr(holder, name, None) is self:
                setattr(holder, name, self._loader)
        self._loader.exec_module(module)
        self._then(module.__name__)
