"""Run by every Python that `keptalive run` starts where nothing can be done from outside: protect it from inside.

Rule: any Python can read it, 2.7 too. One that cannot have keptalive, or where anything goes
wrong, runs on as if this were not here; nothing is printed, nothing raised. The folder leaves
sys.path again, and a sitecustomize that this one hid takes its place.
"""
# mypy: ignore-errors
# ruff: noqa

import sys


def _protect(package):
    import importlib.util

    try:
        import keptalive
    except ImportError:  # not installed for this Python: it needs nothing but its own files
        spec = importlib.util.spec_from_file_location(
            "keptalive", package + "/__init__.py", submodule_search_locations=[package]
        )
        sys.modules["keptalive"] = keptalive = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(keptalive)
    from keptalive.rescue.python_child import protect

    protect()


def _make_way(folder, this):
    """Import the sitecustomize that would have been imported."""
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    del sys.modules["sitecustomize"]
    try:
        __import__("sitecustomize")
    except BaseException as error:
        sys.modules["sitecustomize"] = this
        if not isinstance(error, ImportError) or getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise  # theirs, and handled as without us


_folder = __file__.rpartition("/")[0]
if sys.version_info >= (3, 10):
    try:
        _protect(_folder.rpartition("/")[0].rpartition("/")[0])
    except Exception:
        pass  # the program comes first
_make_way(_folder, sys.modules["sitecustomize"])
