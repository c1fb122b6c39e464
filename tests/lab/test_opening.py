"""open_lab(): which engine, and the sentence that says why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from keptalive.errors import LabError, LabNotSupported, NotSupported
from keptalive.lab import open_lab


def test_the_kernel_engine_comes_first(kernel_refusal: str | None) -> None:
    """Where it works, the reference engine is taken; where not, the reason says what was refused."""
    with open_lab("idle-drop:60") as lab:
        if kernel_refusal is None:
            assert lab.engine == "kernel"
            assert lab.engine_reason.startswith("network namespaces with the kernel's connection tracking")
        else:
            assert lab.engine == "relay"
            assert lab.engine_reason.endswith("using the relay")


@pytest.mark.lab
def test_a_fault_the_kernel_cannot_do_goes_to_the_next(kernel_refusal: str | None) -> None:
    """Connection tracking knows whole seconds only; the packet engine knows any."""
    with open_lab("idle-drop:0.5") as lab:
        assert lab.engine == ("packet" if kernel_refusal is None else "relay")
        assert lab.engine_reason.startswith("connection tracking counts whole seconds, not 0.5; ")
        assert lab.engine_reason.endswith(f"using the {lab.engine}")


@pytest.mark.lab
def test_an_engine_that_is_asked_for_is_not_replaced(kernel_refusal: str | None) -> None:
    """It is that engine, or an error that names those that can, and that work here."""
    with open_lab("idle-drop:60", "relay") as lab:
        assert (lab.engine, lab.engine_reason) == ("relay", "a relay on loopback")
    packets = kernel_refusal is None
    others = "packet or relay" if packets else "relay"
    refused = {
        ("idle-drop:0.5", "kernel"): "connection tracking counts whole seconds, not 0.5; "
        f"idle-drop:0.5 can be had from the engine {others}",
        ("loss:5%", "relay"): "loss is for the packet engine, not for the relay engine"
        + ("; loss:0.05 can be had from the engine packet" if packets else ""),
    }
    for (fault, engine), reason in refused.items():
        with pytest.raises(LabError) as caught:
            open_lab(fault, engine)
        assert str(caught.value) == f"no lab can be opened here: {reason}"
        assert not isinstance(caught.value, NotSupported)  # it makes no sense on any machine


@pytest.mark.lab
@pytest.mark.parametrize(
    ("fault", "engine", "words"),
    [
        ("idle-drop:5", "kernel", "no lab can be opened here: {}; idle-drop:5 can be had from the engine "
         "relay"),
        ("loss:0.1", None, "no lab with loss:0.1 can be opened here: it takes the packet engine, and {}"),
        ("nat-rebind:5", None, "no lab with nat-rebind:5 can be opened here: it takes the kernel or packet "
         "engine, and {}"),
    ],
)  # fmt: skip
def test_where_an_engine_is_missing_the_one_thing_to_do_is_said(
    kernel_refusal: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    engine: str | None,
    words: str,
) -> None:
    """What this machine lacks for it, and nothing about engines that could never do it."""
    (tmp_path / "pyroute2.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    with pytest.raises(LabNotSupported) as caught:
        open_lab(fault, engine)
    if kernel_refusal is None:
        assert str(caught.value) == words.format("pyroute2 is missing: pip install 'keptalive[lab]'")


@pytest.mark.lab
def test_without_pyroute2_the_relay_is_taken(
    kernel_refusal: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the reason says what to install."""
    (tmp_path / "pyroute2.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    with open_lab("idle-drop:60") as lab:
        assert lab.engine == "relay"
        if kernel_refusal is None:
            assert lab.engine_reason == ("pyroute2 is missing: pip install 'keptalive[lab]'; using the relay")


def test_what_is_unknown_is_refused_with_what_is_known() -> None:
    """Faults and engines."""
    with pytest.raises(LabError, match="no fault 'fire': `keptalive lab faults` lists them"):
        open_lab("fire:3")
    with pytest.raises(LabError, match="no engine 'cloud': known are kernel, packet, relay"):
        open_lab("idle-drop:3", "cloud")
