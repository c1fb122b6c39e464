"""The package as pip installed it: in the place meant, with its command, its plugin and its files.

`./dev core` runs these, and the library's other tests, on the built wheel, away from the checkout.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib import metadata, resources
from pathlib import Path

import pytest

import keptalive

SOURCE = Path(__file__).parents[1] / "src"


def test_what_is_tested_is_what_was_installed() -> None:
    """Without the checkout's src beside the tests it is the installed package, and with it, that."""
    installed = Path(sysconfig.get_path("purelib"))

    assert Path(keptalive.__file__).parents[1] == (SOURCE if SOURCE.exists() else installed)


def test_the_command() -> None:
    """The console script is beside the interpreter, starts, and is of the version that is imported."""
    command = Path(sysconfig.get_path("scripts")) / "keptalive"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr, done.returncode) == (f"keptalive {keptalive.__version__}\n", "", 0)
    assert metadata.version("keptalive") == keptalive.__version__


def test_the_plugin(pytestconfig: pytest.Config) -> None:
    """Pytest loaded it by its entry point; nobody named it."""
    (entry,) = metadata.entry_points(group="pytest11", name="keptalive")

    assert pytestconfig.pluginmanager.get_plugin("keptalive") is entry.load()


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "cli/completions/keptalive.bash",
        "cli/completions/_keptalive",
        "diagnosis/report/style.css",
    ],
)
def test_files_that_are_no_modules(name: str) -> None:
    """They are where the package looks for them."""
    assert resources.files("keptalive").joinpath(name).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="no shell there looks for them")
@pytest.mark.parametrize(
    "name",
    [
        "man/man1/keptalive.1",
        "bash-completion/completions/keptalive",
        "zsh/site-functions/_keptalive",
        "fish/vendor_completions.d/keptalive.fish",
    ],
)
def test_files_for_shells_and_man(name: str) -> None:
    """They are under the prefix's share, where those programs look."""
    assert (Path(sysconfig.get_path("data")) / "share" / name).stat().st_size > 1000
