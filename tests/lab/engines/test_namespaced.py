"""What the engines with network namespaces share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keptalive.errors import LabError
from keptalive.lab import open_lab
from keptalive.lab.engines.namespaced import NamespacedLab
from lab.scenario import PATIENCE
from support import missing

pytestmark = pytest.mark.lab

RETRIES = "ipv4/tcp_retries2"


@pytest.fixture(params=["kernel", "packet"])
def namespaced(request: pytest.FixtureRequest, kernel_refusal: str | None) -> Iterator[NamespacedLab]:
    """Open a lab with each engine that has namespaces."""
    if kernel_refusal:
        missing(kernel_refusal)
    with open_lab("idle-drop:600", request.param) as lab:
        assert isinstance(lab, NamespacedLab)
        yield lab


def _value(popen: Callable[..., subprocess.Popen[Any]]) -> str:
    with popen(["cat", f"/proc/sys/net/{RETRIES}"], stdout=subprocess.PIPE, text=True) as command:
        read: str = command.communicate(timeout=PATIENCE)[0]
        return read.strip()


def test_a_sysctl_is_set_for_one_end_only(namespaced: NamespacedLab) -> None:
    """The other end, and this machine, keep theirs."""
    before = _value(subprocess.Popen), _value(namespaced.popen), _value(namespaced.popen_server)
    assert "3" not in before

    namespaced.set_sysctl("client", RETRIES, 3)

    after = _value(subprocess.Popen), _value(namespaced.popen), _value(namespaced.popen_server)
    assert after == (before[0], "3", before[2])


def test_a_sysctl_that_is_not_there_is_refused_by_name(namespaced: NamespacedLab) -> None:
    """And the lab goes on."""
    with pytest.raises(LabError, match=r"net/ipv4/no_such_thing cannot be set to 1 here \(ENOENT"):
        namespaced.set_sysctl("server", "ipv4/no_such_thing", 1)

    namespaced.set_sysctl("server", RETRIES, 8)
    assert _value(namespaced.popen_server) == "8"


def test_a_command_inherits_nothing_that_joining_took(namespaced: NamespacedLab) -> None:
    """A descriptor of a namespace would keep that alive, and appear wherever a program lists its own."""
    with namespaced.popen(["ls", "/proc/self/fd"], stdout=subprocess.PIPE, text=True) as command:
        listed = command.communicate(timeout=PATIENCE)[0]

    assert listed.split() == ["0", "1", "2", "3"]  # the fourth is the listing's


def test_a_command_that_comes_after_the_sweep_leaves_again(namespaced: NamespacedLab) -> None:
    """Nobody would end it any more."""
    with namespaced.popen(["echo", "here"], stdout=subprocess.PIPE, text=True) as command:
        assert command.communicate(timeout=PATIENCE)[0] == "here\n"

    namespaced._holder.close()  # it sweeps, as when the owner has been killed

    with namespaced.popen(["echo", "here"], stdout=subprocess.PIPE, text=True) as command:
        assert command.communicate(timeout=PATIENCE)[0] == ""
