"""What keptalive is compared with, and the machine it runs on: is it here, in which version, where to get it.

Rule: no path and no host's name is told.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

#: Program -> (the command that tells its version, Debian's package).
PROGRAMS = {
    "ss": ("ss -V", "iproute2"),
    "netstat": ("netstat --version", "net-tools"),
    "lsof": ("lsof -v", "lsof"),
    "haproxy": ("haproxy -v", "haproxy"),
    "nginx": ("nginx -v", "nginx-light"),
    "squid": ("squid -v", "squid"),
    "nft": ("nft --version", "nftables"),
    "strace": ("strace -V", "strace"),
    "libkeepalive": ("dpkg-query -W -f ${Version} libkeepalive0", "libkeepalive0"),
}
_VERSION = re.compile(r"\d+\.\d[\w.+-]*")


@cache
def absent(name: str) -> str:
    """Return "", or in a sentence what is not installed and where it is to be had."""
    if name == "libkeepalive":  # the loader says what it cannot preload, and goes on
        preloaded = subprocess.run(
            ["true"], env={**os.environ, "LD_PRELOAD": "libkeepalive.so"}, capture_output=True, check=True
        )
        here = not preloaded.stderr
    elif name in PROGRAMS:
        here = shutil.which(name) is not None
    else:
        here = version(name) is not None
    where = f"apt install {PROGRAMS[name][1]}" if name in PROGRAMS else f"pip install {name}"
    return "" if here else f"{name} is not installed ({where})"


def version(name: str) -> str | None:
    """Return the version of a peer, None if it is not here; "?" if it does not tell."""
    if name not in PROGRAMS:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None
    if absent(name):
        return None
    command = PROGRAMS[name][0].split()
    if shutil.which(command[0]) is None:
        return "?"
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _VERSION.search(told.stdout + told.stderr)
    return found[0] if found else "?"


def machine() -> str:
    """Return the machine in one line: processor, cores, memory, kernel, distribution, Python."""
    rows = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((row.partition(":")[2].strip() for row in rows if row.startswith("model name")), "")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    virtual = ", virtual" if any("hypervisor" in row for row in rows if row.startswith("flags")) else ""
    release = platform.freedesktop_os_release()
    return (
        f"{model or platform.machine()}{virtual}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB; "
        f"Linux {platform.release()}; {release.get('PRETTY_NAME', release['ID'])}; "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def load() -> str:
    """Return the load average of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"
