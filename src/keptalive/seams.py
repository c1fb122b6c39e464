"""How hold() changes an object: a cover left on it, and a few of its methods wrapped.

Rule: one object is changed, never its class; what was wrapped stays what it was for
copies and pickles; and nothing done here after a method's own work can fail it. No
object is asked for its `__dict__`: before CPython 3.13 that alone makes every later
access to its attributes dearer (a twentieth of a request's instructions in aiohttp).
"""

from __future__ import annotations

import copyreg
import weakref
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from keptalive.cover import Cover

_ATTRIBUTE = "_keptalive_cover"
_SEAM = "_keptalive_stands_before"  # on a wrapper: what was in its place
_OF_CLASS = object()  # nothing but the method of the class


def cover_of(held: object) -> Cover | None:
    """Return the cover that hold() left on an object, if it did."""
    cover = getattr(held, _ATTRIBUTE, None)
    return cover if isinstance(cover, Cover) else None


def put_cover(held: Any, cover: Cover) -> bool:
    """Leave *cover* on an object; True if it is the first one, so that seams need wrapping once only.

    Wrappers ask `cover_of(held)` when they run: holding an object again with another
    policy then just replaces its cover.
    """
    first = cover_of(held) is None
    object.__setattr__(held, _ATTRIBUTE, cover)
    return first


def wrap(held: Any, name: str, around: Callable[..., Any]) -> None:
    """Have `held.name(...)` do `around(held, original, ...)` from now on, on this one object.

    Once is enough: where *around* was put before, nothing is done, and *around* asks
    `cover_of(held)` when it runs. The object is not kept alive by it, and copies and
    pickles of the object go without.
    """

    def make(reference: Callable[[], Any], bind: Callable[[Any], Any]) -> Callable[..., Any]:
        def seam(*args: Any, **kwargs: Any) -> Any:
            held = reference()
            return around(held, bind(held), *args, **kwargs)

        return seam

    _place(held, name, make)


def follow(held: Any, name: str, after: Callable[..., None]) -> None:
    """Have `held.name(...)` followed by `after(held, cover, result, ...)`, with the same arguments.

    As wrap(). Whatever *after* raises becomes a complaint: the method has done its work.
    """
    wrap(held, name, partial(_then, after))


def hand_on(held: Any, name: str, hold: Callable[[Any, Cover], None]) -> None:
    """Have what `held.name(...)` returns held as *held* is, by `hold(result, cover)`.

    Left alone is what has a cover already. As follow(), but for methods that run with
    every request: it costs them as little as can be.
    """

    def make(reference: Callable[[], Any], bind: Callable[[Any], Any]) -> Callable[..., Any]:
        def seam(*args: Any, **kwargs: Any) -> Any:
            held = reference()
            result = bind(held)(*args, **kwargs)
            if getattr(result, _ATTRIBUTE, None) is None:
                hold_as(held, result, hold)
            return result

        return seam

    _place(held, name, make)


def hand_on_awaited(
    held: Any, name: str, hold: Callable[[Any, Cover], None], part: str | None = None
) -> None:
    """As hand_on(), for a coroutine function; *part* names the attribute of its result that is to be held.

    Left alone is what has the same cover already: another one is from before *held* was held again.
    """

    def make(reference: Callable[[], Any], bind: Callable[[Any], Any]) -> Callable[..., Any]:
        async def seam(*args: Any, **kwargs: Any) -> Any:
            held = reference()
            result = await bind(held)(*args, **kwargs)
            made = result if part is None else getattr(result, part)
            if getattr(made, _ATTRIBUTE, None) is not getattr(held, _ATTRIBUTE, None):
                hold_as(held, made, hold)
            return result

        return seam

    _place(held, name, make)


def hold_as(held: Any, made: Any, hold: Callable[[Any, Cover], None]) -> None:
    """Do `hold(made, cover)` with the cover of *held*, if it has one; what it raises becomes a complaint."""
    _fail_open(held, lambda cover: hold(made, cover))


def behind(held: Any, name: str) -> Any:
    """Return what is called through `held.name` in the end: what a seam stands before, or what is there."""
    found = getattr(held, name, None)
    own = getattr(found, _SEAM, found)
    return _method_of_class(held, name) if own is _OF_CLASS else own


def _place(held: Any, name: str, make: Callable[..., Any]) -> None:
    """Put the function that *make* returns in the place of a method, unless there is one of ours already.

    make: gets a weak reference to the object, and a function that binds the original to it.
    """
    found = getattr(held, name)
    if hasattr(found, _SEAM):
        return
    own = _OF_CLASS if found == _method_of_class(held, name) else found

    def bind(held: Any) -> Any:
        # The class is asked when it is called: somebody may have patched it meanwhile, with a mock, say.
        return _method_of_class(held, name) if own is _OF_CLASS else own

    seam = make(weakref.ref(held), bind)
    setattr(seam, _SEAM, own)
    object.__setattr__(held, name, seam)
    copyreg.dispatch_table.setdefault(type(held), _as_new)  # what copy and pickle ask first


def _method_of_class(held: Any, name: str) -> Any:
    method = getattr(type(held), name, None)  # None: the object alone has it
    if type(method) is FunctionType:  # nearly always
        return MethodType(method, held)
    get = getattr(type(method), "__get__", None)
    return method if get is None else get(method, held)


def _then(after: Callable[..., None], held: Any, original: Any, /, *args: Any, **kwargs: Any) -> Any:
    result = original(*args, **kwargs)
    _fail_open(held, lambda cover: after(held, cover, result, *args, **kwargs))
    return result


def _fail_open(held: Any, work: Callable[[Cover], None]) -> None:
    cover = cover_of(held)
    if cover is not None:
        try:
            work(cover)
        except Exception as error:  # noqa: BLE001  # the rule of this file
            cover.complain(f"a connection is not protected: {error!r}")


def _as_new(held: Any) -> Any:
    """Reduce a held object, for copy and pickle, to what it was before: a seam is bound to its object."""
    made = held.__reduce_ex__(4)
    if not (isinstance(made, tuple) and len(made) > 2 and isinstance(made[2], dict)):
        return made
    state = {name: getattr(value, _SEAM, value) for name, value in made[2].items() if name != _ATTRIBUTE}
    return *made[:2], {name: value for name, value in state.items() if value is not _OF_CLASS}, *made[3:]
