"""Why not: each cause, brought about for real where this kernel can."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from keptalive.errors import NoSuchProcess, NotPermitted, NotSupported
from keptalive.linux import refusals
from linux.confined import USER, confined
from linux.programs import NOBODY, program
from support import require

_ATTACH = "says(keptalive.rescue.attach.attach, {})"


@pytest.fixture
def root() -> None:
    require(os.geteuid() == 0, "becoming somebody else needs root")


@pytest.mark.usefixtures("root")
def test_another_user() -> None:
    """Whose it is, and who may."""
    with program("hold") as running:
        said = confined(_ATTACH.format(running.pid), user=USER)

    assert said.startswith(
        f"NotPermitted | [Errno 13] may not reach the sockets of process {running.pid} (python"
    )
    assert "it belongs to user root" in said
    assert "run it as root, or as that user" in said


@pytest.mark.usefixtures("root")
def test_ones_own_process_is_no_matter() -> None:
    """The control: the same user, without any right, is allowed."""
    with program("hold", user=USER) as running:
        said = confined(_ATTACH.format(running.pid), user=USER)

    assert said.count("on, idle 45 s, interval 15 s, count 9") == 3


@pytest.mark.usefixtures("root")
def test_not_dumpable() -> None:
    """One's own process may still have asked not to be looked into."""
    with program("not-dumpable", user=USER) as running:
        said = confined(_ATTACH.format(running.pid), user=USER)

    assert "it is not dumpable" in said
    assert "run it as root" in said


@pytest.mark.usefixtures("root")
def test_more_capabilities() -> None:
    """A container's root and the host's are not the same."""
    require(shutil.which("setpriv"), "setpriv takes capabilities away")
    fewer = ("setpriv", "--bounding-set", "-sys_ptrace,-sys_boot")
    with program("hold") as running:
        said = confined(_ATTACH.format(running.pid), before=fewer)

    assert "it holds capabilities that you lack" in said
    assert "as the host's root" in said


@pytest.mark.usefixtures("root")
def test_a_root_without_its_right() -> None:
    """A container's root at another user's process."""
    require(shutil.which("setpriv"), "setpriv takes capabilities away")
    with program("hold", user=USER) as running:
        said = confined(_ATTACH.format(running.pid), before=("setpriv", "--bounding-set", "-sys_ptrace"))

    assert "this root lacks CAP_SYS_PTRACE" in said
    assert "--cap-add SYS_PTRACE" in said


def test_dockers_filter() -> None:
    """EPERM even for one's own child."""
    with program("hold") as running:
        said = confined(f"forbid(438, {errno.EPERM})\n" + _ATTACH.format(running.pid))

    assert "a seccomp filter forbids pidfd_getfd here, as Docker's default profile does" in said
    assert "--cap-add SYS_PTRACE" in said
    assert "keptalive run" in said


def test_an_old_kernel() -> None:
    """No such system call: not supported, rather than not permitted."""
    with program("hold") as running:
        said = confined(f"forbid(438, {errno.ENOSYS})\n" + _ATTACH.format(running.pid))

    assert said.startswith("NotSupported | ")
    assert "Linux 5.6" in said


@pytest.mark.parametrize(
    ("scope", "helps"),
    [(1, "sysctl kernel.yama.ptrace_scope=0"), (2, "run it as root"), (3, "cannot be changed")],
)
def test_yama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: int, helps: str) -> None:
    """This kernel may have none: its setting is read from a file."""
    setting = tmp_path / "ptrace_scope"
    setting.write_text(f"{scope}\n")
    monkeypatch.setattr(refusals, "_YAMA", str(setting))
    with program("hold") as running:
        error = refusals.refusal(running.pid, PermissionError(errno.EPERM, ""))

    assert isinstance(error, NotPermitted)
    assert error.errno == errno.EPERM
    assert f"kernel.yama.ptrace_scope = {scope}" in str(error)
    assert error.hint is not None
    assert helps in error.hint


def test_a_cause_that_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called unknown, not guessed at."""
    monkeypatch.setattr(refusals, "_YAMA", "/nonexistent")
    with program("hold") as running:
        error = refusals.refusal(running.pid, PermissionError(errno.EPERM, ""))

    assert "does not say why" in str(error)


def test_nobody() -> None:
    """Who has gone has not refused."""
    for number in (errno.ESRCH, errno.ENOENT):
        assert isinstance(refusals.refusal(NOBODY, OSError(number, "")), NoSuchProcess)
    assert isinstance(refusals.refusal(NOBODY, OSError(errno.ENOSYS, "")), NotSupported)


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number will do."""
    assert refusals._user_name(4_000_000) == "4000000"
