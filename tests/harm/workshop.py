"""Sources and environments of other people's tests: fetched and built once, in .harm at the root.

Rule: nothing of it enters the project's own environment or requirements.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from harm.suites import STDLIB_QUICK, STDLIB_REST, Library, Part

ROOT = Path(__file__).resolve().parents[2]
WORKSHOP = ROOT / ".harm"
PATIENCE = 900  # seconds for whatever pip does


def version(python: Path) -> str:
    """Return "3.12.1" for a Python executable."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def stdlib_parts(python: Path, *, complete: bool) -> list[Part]:
    """Return the standard library's tests, a process for each module; none if this Python came without."""
    code = "import test.support as s, os; print(os.path.dirname(os.path.dirname(s.__file__)))"
    found = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    if found.returncode:
        return []
    folder = Path(found.stdout.strip())
    names: dict[str, None] = {}
    for name in (*STDLIB_QUICK, *STDLIB_REST) if complete else STDLIB_QUICK:
        pattern = name.replace(".", "/")
        for path in sorted([*folder.glob(f"{pattern}.py"), *folder.glob(pattern)]):
            if path.stem.startswith("test_"):
                names[".".join(path.relative_to(folder).with_suffix("").parts)] = None
    return [Part("standard library", python, (name,)) for name in names]


def library_parts(library: Library, python: Path, *, complete: bool) -> list[Part]:
    """Return a library's tests, some files a process, ready to be run."""
    own = environment(library, python)
    folder = sources(library, own)
    tests = folder / library.tests
    files = [path.relative_to(tests).as_posix() for path in sorted(tests.rglob("test_*.py"))]
    files = [file for file in files if not file.startswith(library.without)] if library.without else files
    if not complete and library.quick:
        files = list(library.quick)
    return [
        Part(
            f"{library.name} {library.version}",
            own,
            tuple(f"{library.tests}/{file}" for file in some),
            folder,
            library.options,
        )
        for some in library.split(files)
    ]


def sources(library: Library, python: Path) -> Path:
    """Return a folder with the tests of a library, and without the library itself: that is installed."""
    folder = WORKSHOP / f"{library.name}-{library.version}"
    if folder.exists():
        return folder
    parcel = WORKSHOP / "parcels"
    command: list[str | Path]
    command = [python, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", library.name, "--dest", parcel, library.requirement]
    subprocess.run(command, check=True, timeout=PATIENCE)
    (archive,) = parcel.glob(f"{library.name}-{library.version}.tar.gz")
    unpacked = WORKSHOP / "unpacked"
    shutil.unpack_archive(archive, unpacked)
    made = Path(f"{folder}.making")
    shutil.rmtree(made, ignore_errors=True)
    for name in (library.tests, *library.needs):
        source = unpacked / folder.name / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        made.mkdir(parents=True, exist_ok=True)
        copy(source, made / name)
    made.rename(folder)
    shutil.rmtree(unpacked)
    return folder


def environment(library: Library, python: Path) -> Path:
    """Return the Python of a virtual environment that has the library and what its tests need."""
    folder = WORKSHOP / f"venv-{version(python)}-{library.name}"
    own = folder / "bin" / "python"
    wanted = "\n".join([library.requirement, *library.requirements])
    stamp = folder / f"stamp-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    if stamp.exists():
        return own
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True, timeout=PATIENCE)
    pip = [own, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, library.requirement, *library.requirements], check=True, timeout=PATIENCE)
    stamp.touch()
    return own
