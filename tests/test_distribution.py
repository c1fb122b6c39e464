"""What is released: everything that the package and its tests need, and nothing else.

Built from a copy of the checkout, in which something lies of each kind that git ignores.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import keptalive

pytestmark = pytest.mark.timeout(600)  # builds in a row, on a busy machine

ROOT = Path(__file__).parents[1]
IGNORED = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()]
RELEASED = (
    *("src", "tests", "docs", "share", "benchmarks", "dev", ".ci", "pyproject.toml", ".gitignore"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"),
)
NAME = f"keptalive-{keptalive.__version__}"
# What shells and man find by themselves, and where it is in the checkout.
SHARED = {
    "share/man/man1/keptalive.1": "share/man/man1/keptalive.1",
    "share/bash-completion/completions/keptalive": "src/keptalive/cli/completions/keptalive.bash",
    "share/zsh/site-functions/_keptalive": "src/keptalive/cli/completions/_keptalive",
    "share/fish/vendor_completions.d/keptalive.fish": "src/keptalive/cli/completions/keptalive.fish",
}


@dataclass(frozen=True)
class Built:
    """The files of the checkout and of both parcels, by name."""

    checkout: dict[str, bytes]
    sdist: dict[str, bytes]
    wheel: dict[str, bytes]

    @property
    def metadata(self) -> Message:
        """What an index shows and pip goes by."""
        return Parser().parsestr(self.wheel[f"{NAME}.dist-info/METADATA"].decode())


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _lay_lures(folder: Path) -> None:
    """Leave something of each kind that git ignores, at the root and in the package."""
    for pattern in IGNORED:
        for place in ("", *(() if "/" in pattern else ("src/keptalive", "tests"))):
            lure = folder / place / pattern.replace("*", "lure") / "lure.py"
            lure.parent.mkdir(parents=True)
            lure.write_text("")


def _build(source: Path, target: Path, *options: str) -> tuple[Path, ...]:
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", target, source]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=target.parent, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return tuple(sorted(target.iterdir()))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both parcels as `python -m build` makes them: the wheel from the sdist."""
    place = tmp_path_factory.mktemp("built")
    source = place / "checkout"
    ignored = (".git", *(Path(pattern).name for pattern in IGNORED))
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*ignored))
    checkout = _contents(source)
    _lay_lures(source)
    wheel, sdist = _build(source, place / "parcels")
    with tarfile.open(sdist) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        in_sdist = {name.removeprefix(f"{NAME}/"): file.read() for name, file in files.items() if file}
    with zipfile.ZipFile(wheel) as parcel:
        in_wheel = {name: parcel.read(name) for name in parcel.namelist()}
    return Built(checkout, in_sdist, in_wheel)


def test_the_wheel_is_the_package_and_nothing_else(built: Built) -> None:
    """Each file of src/keptalive as it is there, what shells and man look for, and the wheel's own papers."""
    sources = {name: content for name, content in built.checkout.items() if name.startswith("src/")}
    package = {name.removeprefix("src/"): content for name, content in sources.items()}
    shared = {f"{NAME}.data/data/{name}": built.checkout[file] for name, file in SHARED.items()}
    described = {name for name in built.wheel if ".dist-info/" in name}

    assert {name: built.wheel[name] for name in built.wheel.keys() - described} == package | shared
    assert {name.partition("/")[2] for name in described} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    assert {"keptalive/py.typed", "keptalive/diagnosis/report/style.css"} <= set(package)


def test_the_sdist_can_be_built_and_tested_from(built: Built) -> None:
    """It has the checkout's sources, tests, documentation, benchmarks and commands, as they are there."""
    expected = {name: built.checkout[name] for name in built.checkout if name.partition("/")[0] in RELEASED}
    metadata = {"PKG-INFO": built.wheel[f"{NAME}.dist-info/METADATA"]}

    assert built.sdist == expected | metadata
    assert {name.partition("/")[0] for name in expected} == set(RELEASED)


def test_the_wheel_is_the_same_from_the_checkout(built: Built, tmp_path: Path) -> None:
    """Nothing is lost on the way through the sdist; and the same sources make the same wheel, to the byte."""
    (wheel,) = _build(ROOT, tmp_path / "parcels", "--wheel")
    with zipfile.ZipFile(wheel) as parcel:
        direct = {name: parcel.read(name) for name in parcel.namelist()}

    assert direct == built.wheel


def test_the_metadata(built: Built) -> None:
    """What an index shows: the Python it needs, the licence, the README, where it comes from."""
    data = built.metadata

    assert (data["Name"], data["Version"]) == ("keptalive", keptalive.__version__)
    assert data["Requires-Python"] == ">=3.10"
    assert (data["License-Expression"], data["License-File"]) == ("MIT", "LICENSE")
    assert data["Description-Content-Type"] == "text/markdown"
    assert data.get_payload() == (ROOT / "README.md").read_text()
    urls = dict(line.split(", ") for line in data.get_all("Project-URL", []))
    assert set(urls) == {"Source", "Issues", "Changelog"}
    assert all(url.startswith(urls["Source"]) for url in urls.values())


def test_the_classifiers(built: Built) -> None:
    """Each Python that the core is tested under; typed; and no system that it was not tested on."""
    classifiers = set(built.metadata.get_all("Classifier", []))
    pythons = {name.rpartition(" ")[2] for name in classifiers if name.startswith("Programming Language")}

    assert pythons == {"3", "3.10", "3.11", "3.12", "3.13"}
    assert "Typing :: Typed" in classifiers
    assert {name for name in classifiers if name.startswith("Operating System")} == {
        "Operating System :: POSIX :: Linux"
    }


def test_the_extras(built: Built) -> None:
    """The library needs nothing; each extra brings what it is for, `all` both and no client."""
    needs: dict[str, set[str]] = {}
    for line in built.metadata.get_all("Requires-Dist", []):
        requirement, _, condition = line.partition("; ")
        assert "extra == " in condition, f"a dependency for everybody: {line}"
        needs.setdefault(condition.rpartition("extra == ")[2].strip("'"), set()).add(requirement)

    assert needs["cli"] == {"rich>=13"}
    assert needs["lab"] == {"pyroute2>=0.7.12"}
    assert needs["all"] == needs["cli"] | needs["lab"]
    assert set(built.metadata.get_all("Provides-Extra", [])) == {
        *("cli", "lab", "all"),
        *("test-core", "test", "test-sdks", "lint", "docs"),
    }
