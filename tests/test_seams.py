"""Seams: one object is changed, never its class; copies go without; nothing done afterwards raises."""

from __future__ import annotations

import asyncio
import copy
import pickle
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from keptalive import KeptaliveWarning, Policy
from keptalive.cover import Cover
from keptalive.seams import cover_of, follow, hand_on, hand_on_awaited, put_cover, wrap


def test_the_last_cover_counts() -> None:
    """Holding again replaces the cover; only the first time wraps."""

    class Client:
        pass

    client = Client()
    first, second = Cover(), Cover(Policy(5, 5, 5))

    assert cover_of(client) is None
    assert put_cover(client, first) is True
    assert put_cover(client, second) is False
    assert cover_of(client) is second


class Speaker:
    """Something with a method to wrap."""

    def say(self, word: str) -> str:
        return f"{word} {id(self)}"


def loudly(held: Speaker, original: Callable[[str], str], word: str) -> str:
    return original(f"{word.upper()} {cover_of(held).policy.idle}")


def test_a_wrapped_method_goes_through_once() -> None:
    """Wrapping again changes nothing, holding again changes the policy."""
    speaker = Speaker()
    for idle in (20, 30):
        put_cover(speaker, Cover(Policy(idle)))
        wrap(speaker, "say", loudly)

        assert speaker.say("a") == f"A {idle} {id(speaker)}"


def test_what_somebody_else_wrapped_stays_wrapped() -> None:
    """An attribute of the object itself is called, not the method behind it."""
    speaker = Speaker()
    speaker.say = lambda word: f"mine {word}"
    put_cover(speaker, Cover(Policy(20)))
    wrap(speaker, "say", loudly)

    assert speaker.say("a") == "mine A 20"
    assert copy.copy(speaker).say("a") == "mine a"


def test_what_is_patched_later_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock or an instrument put on the class after hold() is called, as without it."""
    speaker = Speaker()
    put_cover(speaker, Cover(Policy(20)))
    wrap(speaker, "say", loudly)
    monkeypatch.setattr(Speaker, "say", lambda self, word: f"patched {word}")

    assert speaker.say("a") == "patched A 20"
    monkeypatch.setattr(Speaker, "say", Mock(return_value="mocked"))
    assert speaker.say("a") == "mocked"
    Speaker.say.assert_called_with("A 20")


def test_copies_and_pickles_go_without() -> None:
    """A copy is not held, and does not speak for the original."""
    speaker = Speaker()
    speaker.name = "x"
    put_cover(speaker, Cover(Policy(20)))
    wrap(speaker, "say", loudly)
    for other in (copy.copy(speaker), copy.deepcopy(speaker), pickle.loads(pickle.dumps(speaker))):
        assert vars(other) == {"name": "x"}
        assert other.say("a") == f"a {id(other)}"


def test_what_follows_a_method_never_raises() -> None:
    """The method's own result and its own errors come through; ours become a warning."""
    seen = []

    def after(held: Speaker, cover: Cover, result: str, word: str) -> None:
        seen.append((held, cover, result, word))
        raise OSError("broken")

    speaker, cover = Speaker(), Cover()
    put_cover(speaker, cover)
    follow(speaker, "say", after)
    with pytest.warns(KeptaliveWarning, match="not protected: OSError"):
        result = speaker.say("a")

    assert result == f"a {id(speaker)}"
    assert seen == [(speaker, cover, result, "a")]
    with pytest.raises(TypeError):
        speaker.say()
    assert len(seen) == 1


class Maker:
    """Something that makes others."""

    def make(self, kind: type) -> object:
        return kind()


def test_what_is_made_is_held_as_its_maker() -> None:
    """Once: what is held already, perhaps otherwise, is left alone; and trouble is a complaint."""
    held = []

    def hold(made: object, cover: Cover) -> None:
        put_cover(made, cover)
        held.append(made)

    first, second = Cover(), Cover(Policy(5, 5, 5))
    maker, given = Maker(), Speaker()
    put_cover(maker, first)
    put_cover(given, second)
    hand_on(maker, "make", hold)
    made = maker.make(Speaker)

    assert cover_of(made) is first
    assert maker.make(lambda: made) is made
    assert maker.make(lambda: given) is given
    assert held == [made]
    assert cover_of(given) is second
    with pytest.warns(KeptaliveWarning, match="not protected"):
        assert maker.make(int) == 0


def test_a_part_of_what_is_awaited_is_held_once() -> None:
    """For coroutine functions whose result is new each time, while the part of it that matters is not."""

    class Connector:
        def __init__(self) -> None:
            self.speaker = Speaker()

        async def connect(self) -> SimpleNamespace:
            return SimpleNamespace(part=self.speaker)

    connector, held, cover = Connector(), [], Cover()

    def hold(made: Speaker, cover: Cover) -> None:
        held.append(made)
        put_cover(made, cover)

    hand_on_awaited(connector, "connect", hold, "part")
    assert asyncio.run(connector.connect()).part is connector.speaker
    assert held == []  # no cover yet
    put_cover(connector, cover)
    for _ in range(2):
        assert asyncio.run(connector.connect()).part is connector.speaker
    assert held == [connector.speaker]
    assert cover_of(connector.speaker) is cover


def test_what_is_awaited_is_held() -> None:
    """For coroutine functions."""

    class Maker:
        async def make(self) -> Speaker:
            return Speaker()

    maker, cover = Maker(), Cover()
    put_cover(maker, cover)
    hand_on_awaited(maker, "make", put_cover)

    assert cover_of(asyncio.run(maker.make())) is cover


def test_a_wrapped_object_is_not_kept_alive() -> None:
    """No circle: a socket in it closes when the last user lets go, as before."""
    speaker = Speaker()
    put_cover(speaker, Cover())
    wrap(speaker, "say", loudly)
    gone = weakref.ref(speaker)
    del speaker

    assert gone() is None
