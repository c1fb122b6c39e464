"""KEPTALIVE_POLICY: the default, off, and what cannot be read."""

from __future__ import annotations

import socket
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keptalive
from keptalive import KeptaliveWarning, Policy, PolicyError, platforms
from keptalive.environment import default_policy
from keptalive.presets import parse_policy
from support import tcp_pair


def test_without_it_the_built_in_default_holds() -> None:
    """45:15:9."""
    assert default_policy() == Policy()


def test_it_is_the_default_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """60:15:9 in the environment reaches the socket."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "60:20:5")
    with tcp_pair() as (client, _):
        keptalive.apply(client)

        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 5


def test_an_explicit_policy_beats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a default, no order."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "60:20:5")
    with tcp_pair() as (client, _):
        keptalive.apply(client, Policy(30, 10, 3))

        assert keptalive.read(client).idle == 30


@pytest.mark.parametrize("value", ["off", "OFF", " off "])
def test_off_switches_everything_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Explicit policies too; the report says why."""
    monkeypatch.setenv("KEPTALIVE_POLICY", value)
    with tcp_pair() as (client, _):
        report = keptalive.apply(client, Policy(30, 10, 3))
        keptalive.hold(client, Policy(30, 10, 3))

        assert not report.changed
        assert report.left_alone == "KEPTALIVE_POLICY=off"
        assert keptalive.read(client).enabled is False
        assert keptalive.socket_options() == []


@pytest.mark.parametrize("value", ["azure-lb", " Azure-LB "])
def test_a_preset_is_a_default_policy_too(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """What `--policy` takes."""
    monkeypatch.setenv("KEPTALIVE_POLICY", value)

    assert default_policy() == Policy(80, 24, 9)


@pytest.mark.parametrize(
    "value",
    [
        "sixty",
        "60",
        "0:0:0",
        "10:60:9",
        "60:15:9:x",
        "azure-bl",
        "nginx",  # a preset that keepalive does not help with
        "99999:1:1",  # a policy, but no kernel here takes it
        "60:15:999",
    ],
)
def test_malformed_warns_and_the_default_holds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Never in silence, never an error."""
    monkeypatch.setenv("KEPTALIVE_POLICY", value)
    with pytest.warns(KeptaliveWarning, match="KEPTALIVE_POLICY is ignored, the built-in default 45:15:9"):
        assert default_policy() == Policy()


@pytest.mark.skipif(platforms.current().name != "Linux", reason="99999 s is beyond Linux's limit")
def test_beyond_the_limits_of_the_system_no_call_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """hold(), apply() and socket_options() go on with the built-in default; an explicit policy is refused."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "99999:1:1")
    with tcp_pair() as (client, _):
        with pytest.warns(KeptaliveWarning, match="TCP_KEEPIDLE: 1 to 32767 s"):
            keptalive.hold(client)
        assert keptalive.read(client).idle == 45

        with pytest.raises(PolicyError, match="TCP_KEEPIDLE"):
            keptalive.hold(client, Policy(99999, 1, 1))
    with pytest.warns(KeptaliveWarning, match="KEPTALIVE_POLICY is ignored"):
        assert keptalive.socket_options()


def test_empty_is_as_if_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is how many tools unset one."""
    monkeypatch.setenv("KEPTALIVE_POLICY", "")
    assert default_policy() == Policy()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
@settings(deadline=None)
def test_any_value_is_a_policy_or_a_warning(value: str) -> None:
    """KEPTALIVE_POLICY raises nothing into a program: it holds, or warns once, and the default holds."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        patch.setenv("KEPTALIVE_POLICY", value)
        policy = default_policy()
    if [str(warning.category.__name__) for warning in warned] == ["KeptaliveWarning"]:
        assert policy == Policy()
    else:
        assert warned == []
        assert value.strip().lower() in ("", "off") or policy == parse_policy(value)
