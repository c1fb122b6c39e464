"""pycurl under install(): handles of every age, with the program's own callback, and after reset()."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

import keptalive
from clients.servers import Origin
from keptalive import Policy

pycurl = pytest.importorskip("pycurl")

STRICT = Policy(20, 10, 3)


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as origin:
        yield origin


def ask(curl: Any, origin: Origin) -> keptalive.SocketState:
    """Have a handle ask once; return what the kernel holds for the connection it keeps."""
    curl.setopt(pycurl.URL, origin.url())
    curl.setopt(pycurl.FRESH_CONNECT, 1)
    assert curl.perform_rs() == "hello"
    (state,) = keptalive.read(curl)
    return state


def held(state: keptalive.SocketState) -> tuple[Any, ...]:
    return state.enabled, state.idle, state.interval, state.count


def test_handles_are_covered_with_the_whole_policy(origin: Origin) -> None:
    """The count too, for which libcurl has no option; the control, made before, is not."""
    with closing(pycurl.Curl()) as before:
        assert ask(before, origin).enabled is False
        keptalive.install(STRICT)
        with closing(pycurl.Curl()) as curl:
            assert held(ask(curl, origin)) == (True, 20, 10, 3)
        assert ask(before, origin).enabled is False


def reset(curl: Any) -> None:
    curl.reset()


def unset(curl: Any) -> None:
    curl.unsetopt(pycurl.SOCKOPTFUNCTION)


def set_to_none(curl: Any) -> None:
    curl.setopt(pycurl.SOCKOPTFUNCTION, None)


@pytest.mark.parametrize("forget", [reset, unset, set_to_none])
def test_a_handle_stays_covered(forget: Callable[[Any], None], origin: Origin) -> None:
    """What takes options away leaves this one in place; so does a duplicate of the handle."""
    keptalive.install(STRICT)
    with closing(pycurl.Curl()) as curl:
        forget(curl)
        assert held(ask(curl, origin)) == (True, 20, 10, 3)
        with closing(curl.duphandle()) as twin:
            forget(twin)
            assert held(ask(twin, origin)) == (True, 20, 10, 3)


def test_the_programs_callback_is_called_and_its_answer_counts(origin: Origin) -> None:
    """What it sets is judged by the rule: worse is replaced, and its refusal refuses."""
    calls = []

    def callback(fd: int, purpose: int) -> int:
        calls.append(purpose)
        sock = socket.socket(fileno=fd)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1000)
        sock.detach()
        return pycurl.SOCKOPT_OK if len(calls) == 1 else pycurl.SOCKOPT_ERROR

    keptalive.install()
    with closing(pycurl.Curl()) as curl:
        curl.setopt(pycurl.SOCKOPTFUNCTION, callback)
        assert held(ask(curl, origin)) == (True, 45, 15, 9)
        with pytest.raises(pycurl.error):
            ask(curl, origin)

    assert calls == [pycurl.SOCKTYPE_IPCXN] * 2


def test_libcurls_own_options_are_judged_too(origin: Origin) -> None:
    """Under the default policy shorter ones stay, and longer ones do not."""
    keptalive.install()
    for idle, outcome in ((20, (True, 20, 10)), (200, (True, 45, 15))):
        with closing(pycurl.Curl()) as curl:
            curl.setopt(pycurl.TCP_KEEPALIVE, 1)
            curl.setopt(pycurl.TCP_KEEPIDLE, idle)
            curl.setopt(pycurl.TCP_KEEPINTVL, 10)

            assert held(ask(curl, origin))[:3] == outcome


def test_a_handle_that_is_held_keeps_its_own_policy(origin: Origin) -> None:
    """hold() has the last word."""
    keptalive.install(STRICT)
    with closing(pycurl.Curl()) as curl:
        keptalive.hold(curl, Policy(300, 60, 2))

        assert held(ask(curl, origin)) == (True, 300, 60, 2)


def test_the_module_that_holds_handles_may_bring_pycurl_in() -> None:
    """keptalive.clients.pycurl imports it first, and install() hears of it in the middle of that."""
    code = "from keptalive import install; install(); import keptalive.clients.pycurl as p"
    code += "; print(p.pycurl.Curl.__mro__)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.count("pycurl.Curl") == 2


def test_after_uninstall_handles_work_uncovered(origin: Origin) -> None:
    """Those that were made meanwhile as well."""
    with keptalive.installed(STRICT):
        curl = pycurl.Curl()
    with closing(curl):
        assert ask(curl, origin).enabled is False


def test_every_handle_is_a_curl() -> None:
    """isinstance() and subclasses written before and after: nobody is told apart."""
    original = pycurl.Curl

    class Before(pycurl.Curl):  # type: ignore[misc, name-defined]
        pass

    with closing(pycurl.Curl()) as old, closing(Before()) as old_sub, keptalive.installed():

        class After(pycurl.Curl):  # type: ignore[misc, name-defined]
            pass

        with closing(pycurl.Curl()) as new, closing(After()) as new_sub:
            assert all(isinstance(each, pycurl.Curl) for each in (old, old_sub, new, new_sub))
            assert not any(isinstance(each, After) for each in (old, old_sub, new))
            assert isinstance(new_sub, After)
            assert issubclass(Before, pycurl.Curl)
            assert issubclass(After, pycurl.Curl)
            assert not issubclass(Before, After)
            assert not isinstance(1, pycurl.Curl)
            assert repr(pycurl.Curl) == "<class 'pycurl.Curl'>"
            multi = pycurl.CurlMulti()
            multi.add_handle(new)
            multi.remove_handle(new)
            multi.close()
        assert pycurl.Curl is not original
    assert pycurl.Curl is original
    assert isinstance(new, original)
