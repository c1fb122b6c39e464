"""Every fault as it is written: read, written again, refused, scaled."""

from __future__ import annotations

from importlib import import_module

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import keptalive.lab.faults as package
from keptalive.errors import LabError
from keptalive.lab.faults import ENGINES, FAULTS, parse
from keptalive.presets import PRESETS

# what is written -> what is read, as str() writes it; its engines; the same at speed 10
WRITTEN = [
    ("idle-drop:5", "idle-drop:5", "kernel packet relay", "idle-drop:0.5"),
    (" idle-drop:0.25 ", "idle-drop:0.25", "packet relay", "idle-drop:0.025"),
    ("idle-reset:350", "idle-reset:350", "kernel packet relay", "idle-reset:35"),
    ("idle-reset-both:4", "idle-reset-both:4", "packet relay", "idle-reset-both:0.4"),
    ("idle-close:5e1", "idle-close:50", "packet relay", "idle-close:5"),
    ("gateway-timeout:60", "gateway-timeout:60", "packet relay", "gateway-timeout:6"),
    ("probes-filtered", "probes-filtered", "packet", "probes-filtered"),
    ("probes-filtered:60", "probes-filtered:60", "packet", "probes-filtered:6"),
    ("blackhole@3", "blackhole@3", "packet relay", "blackhole@0.3"),
    ("blackhole@0-4.5", "blackhole@0-4.5", "packet relay", "blackhole@0-0.45"),
    ("outage@10-40", "outage@10-40", "packet relay", "outage@1-4"),
    ("one-way:client:5", "one-way:client:5", "packet", "one-way:client:0.5"),
    ("one-way:server:5", "one-way:server:5", "packet", "one-way:server:0.5"),
    ("nat-rebind:7", "nat-rebind:7", "kernel packet", "nat-rebind:0.7"),
    ("state-lost@3", "state-lost@3", "packet", "state-lost@0.3"),
    ("loss:0.05", "loss:0.05", "packet", "loss:0.05"),
    ("loss:5%", "loss:0.05", "packet", "loss:0.05"),
    ("delay:20", "delay:20", "packet", "delay:2"),
    ("loss:1%, delay:20", "loss:0.01,delay:20", "packet", "loss:0.01,delay:2"),
    ("gateway-timeout:9,idle-drop:5",) * 2 + ("packet relay", "gateway-timeout:0.9,idle-drop:0.5"),
    ("outage@3-5,outage@8-9", "outage@3-5,outage@8-9", "packet relay", "outage@0.3-0.5,outage@0.8-0.9"),
    ("aws-nat-gateway", "idle-reset:350", "kernel packet relay", "idle-reset:35"),
    ("Azure-LB", "idle-drop:240", "kernel packet relay", "idle-drop:24"),
    ("nginx,delay:10", "gateway-timeout:60,delay:10", "packet", "gateway-timeout:6,delay:1"),
    ("sshd", "idle-close:120", "packet relay", "idle-close:12"),
]  # fmt: skip

REFUSED = [
    ("", "there is no fault ''"),
    ("fire:3", "there is no fault 'fire': `keptalive lab faults` lists them"),
    (
        "idle-dorp:5",
        "there is no fault 'idle-dorp': did you mean idle-drop:SECONDS\\? `keptalive lab faults` lists",
    ),
    ("azure-bl", "did you mean azure-lb\\? "),
    ("idle-drop:5,", "there is no fault ''"),
    ("\x1b[2J", r"there is no fault '\\x1b\[2J'"),
    *(
        (f"idle-drop:{nonsense}", "idle-drop:SECONDS needs a number of seconds above zero")
        for nonsense in ("", "x", "0", "-1", "nan", "inf", "1e7", "5s")
    ),
    ("idle-drop", "idle-drop:SECONDS needs a number of seconds above zero"),
    ("idle-drop@5", "idle-drop is written idle-drop:SECONDS, not 'idle-drop@5'"),
    ("blackhole:5", "blackhole is written blackhole@START"),
    ("blackhole@-1", "needs a number of seconds from 0 on"),
    ("blackhole@5-", "needs a number of seconds above zero"),
    ("blackhole@5-5", "needs an end after its start"),
    ("outage@5", "needs an end, not '5': without one it is a blackhole"),
    ("one-way:5", "needs the side whose packets get lost, not '5'"),
    ("one-way:client", "needs a number of seconds above zero"),
    ("loss:5", "needs one between 0 and 1"),
    ("loss:100%", "needs one between 0 and 1"),
    ("loss:0", "needs one between 0 and 1"),
    ("delay:0", "needs a number above zero"),
    ("probes-filtered:0", "needs a number of seconds above zero"),
    ("delay:1,delay:2", "delay can be given once only"),
    ("idle-drop:5,idle-reset:8", "forgets idle flows in one way: idle-drop:5 or idle-reset:8, not both"),
    ("azure-lb,aws-nlb", "forgets idle flows in one way: idle-drop:240 or idle-reset:350, not both"),
    ("probes-filtered:5,idle-drop:5", "in one way: probes-filtered:5 or idle-drop:5, not both"),
    ("azure-lb:3", "there is no fault 'azure-lb'"),
]


@pytest.mark.parametrize(("text", "written", "engines", "fast"), WRITTEN)
def test_a_fault_is_read_written_and_scaled(text: str, written: str, engines: str, fast: str) -> None:
    """str() gives back what parse() takes; a speed divides times and nothing else."""
    faults = parse(text)

    assert str(faults) == written
    assert parse(written) == faults
    assert " ".join(faults.engines) == engines
    assert str(faults.scaled(10)) == fast
    assert hash(faults.scaled(1)) == hash(faults)


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_nonsense_is_refused_in_a_sentence(text: str, message: str) -> None:
    """The message shows how it is written, and never raw what was."""
    with pytest.raises(LabError, match=message):
        parse(text)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_speed_is_above_zero(speed: float) -> None:
    """Anything else is refused."""
    with pytest.raises(LabError, match="a speed is a number above zero"):
        parse("idle-drop:5").scaled(speed)


def test_a_scaled_time_is_written_shortly_and_never_zero() -> None:
    """To a thousandth of a second."""
    assert str(parse("aws-nat-gateway").scaled(60)) == "idle-reset:5.833"
    assert str(parse("idle-drop:1").scaled(1e6)) == "idle-drop:0.001"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_a_fault(preset: object) -> None:
    """By its name, with its own time."""
    (part,) = parse(preset.name).parts  # type: ignore[attr-defined]

    assert part.seconds == preset.idle_timeout  # type: ignore[attr-defined]
    assert (part.counts == "packets") is preset.keepalive_helps  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", FAULTS.values(), ids=FAULTS)
def test_every_fault_has_a_file_that_explains_it(kind: type) -> None:
    """Its own, whose docstring begins with the syntax; its class says in one line what it does."""
    module = import_module(kind.__module__)

    assert module.__name__ == f"{package.__name__}.{kind.name.replace('-', '_')}"  # type: ignore[attr-defined]
    assert module.__doc__ is not None
    assert module.__doc__.startswith(kind.name)  # type: ignore[attr-defined]
    assert set(kind.engines) <= set(ENGINES)  # type: ignore[attr-defined]


def test_a_refusal_names_the_engines_that_can() -> None:
    """A fault's engines, or the reason why this time does not fit."""
    assert parse("idle-drop:5").refusal("kernel") is None
    assert parse("idle-drop:0.5").refusal("relay") is None
    assert parse("idle-drop:0.5").refusal("kernel") == "connection tracking counts whole seconds, not 0.5"
    assert parse("loss:5%").refusal("relay") == "loss is for the packet engine, not for the relay engine"
    assert parse("delay:5,idle-close:2").refusal("kernel") == (
        "delay is for the packet engine, not for the kernel engine"
    )
    assert parse("idle-drop:5").refusal("oracle") is not None


_NAMES = st.sampled_from([*FAULTS, "fortigate", "nginx"])
_NUMBERS = st.floats(-1, 1_000_001).map(repr) | st.integers(-1, 10**6).map(str) | st.just("1e-5")
_BEHIND = _NUMBERS | st.text(alphabet="0123456789.e-%:@clientserver ", max_size=12)
_ONE = st.builds(
    "".join, st.tuples(_NAMES, st.sampled_from(["", ":", "@", ":client:"]), _BEHIND | st.just("") | _BEHIND)
)


@given(st.text(max_size=20) | st.lists(_ONE, max_size=3).map(",".join))
@example("blackhole@0.00001-1")
@example("idle-drop:" + "1" * 5000)
def test_any_text_is_faults_or_refused(text: str) -> None:
    """Faults that are written and read as the same, to the last digit; or a LabError, and nothing else."""
    try:
        faults = parse(text)
    except LabError:
        return
    assert parse(str(faults)) == faults
    assert str(parse(str(faults))) == str(faults)
