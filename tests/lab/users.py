"""Run a script of these tests as somebody with fewer rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keptalive
from support import clean_environment, missing

NOBODY = 65534

# PR_CAPBSET_DROP (24) of everything, then an exec: root by name alone. linux/prctl.h
_DROP_ALL = (
    "import ctypes, os, sys; libc = ctypes.CDLL(None);"
    "[libc.prctl(24, number, 0, 0, 0) for number in range(64)];"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

# No more user namespaces from here on (user.max_user_namespaces is one per user namespace, namespaces(7)).
_CONFINE = """
import os, pathlib, sys
from keptalive.linux import namespaces
try:
    namespaces.enter_user_namespace()
    pathlib.Path("/proc/sys/user/max_user_namespaces").write_text("0")
except PermissionError:
    pass  # this machine confines everybody
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def world_readable(directory: Path) -> Path:
    """Copy what a script needs to where every user can read it; return that directory."""
    packages = [Path(keptalive.__file__).parent]
    found = find_spec("pyroute2")
    if found is not None and found.origin is not None:
        packages.append(Path(found.origin).parent)
    for package in packages:
        shutil.copytree(package, directory / package.name)
    for script in Path(__file__).parent.glob("*.py"):
        shutil.copy(script, directory)
    directory.chmod(0o755)
    # An ordinary user may not write there, and would compile pyroute2 anew for every lab: a second each time.
    subprocess.run([python_for_all(), "-m", "compileall", "-q", str(directory)], check=True)
    return directory


def python_for_all() -> str:
    """Return a Python that an ordinary user can run: this one, or the system's."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        check = [candidate, "-c", "import sys, ssl; sys.exit(sys.version_info < (3, 10))"]
        try:
            if subprocess.run(check, **as_nobody(), check=False, capture_output=True).returncode == 0:
                return candidate
        except OSError:
            continue
    return missing("no Python >= 3.10 that an ordinary user may run")


def as_nobody() -> dict[str, object]:
    """Return options for subprocess that make the child an ordinary user; as such, none are needed."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": ()}


def start(directory: Path, script: str, *arguments: str, who: str = "self") -> subprocess.Popen[str]:
    """Start a script from *directory* as somebody.

    "self"; "user": an ordinary one; "confined": an ordinary one without namespaces;
    "powerless": root by name alone, or simply an ordinary user where the tests run as one.
    """
    ordinary = who in ("user", "confined")
    options: dict[str, object] = as_nobody() if ordinary else {}
    argv = [python_for_all() if ordinary else sys.executable]
    if who == "powerless" and os.geteuid() == 0:
        argv += ["-c", _DROP_ALL]
    elif who == "confined":
        argv += ["-c", _CONFINE]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*argv, str(directory / script), *arguments],
        env={**clean_environment(), "PYTHONPATH": str(directory)},
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
