"""Cover: protects, reads back, and never raises."""

from __future__ import annotations

import copy
import errno
import logging
import pickle
import socket
import ssl
import struct
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from keptalive import KeptaliveWarning, Policy
from keptalive.cover import Cover, connection_was_killed, cover_of, follow, put_cover, wrap
from support import tcp_pair
from test_sockets import Stubborn, kernel_holds

IP_MINTTL = 21  # with 255, all that comes over loopback (TTL 64) is discarded: the path is dead


def test_protects() -> None:
    """One call, and the kernel holds the policy."""
    with tcp_pair() as (client, _):
        Cover(Policy(20, 10, 3)).protect(client)

        assert kernel_holds(client) == (True, 20, 10, 3)


def test_the_default_leaves_better_sockets_alone() -> None:
    """The short cut for fresh sockets keeps the rule of apply()."""
    with tcp_pair() as (client, _):
        Cover(Policy(5, 5, 5)).protect(client)
        Cover().protect(client)

        assert kernel_holds(client) == (True, 5, 5, 5)


def test_nothing_to_do() -> None:
    """No socket, a Unix socket, a datagram socket and a closed one are fine in silence."""
    cover = Cover()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cover.protect(None)
        with socket.socket(socket.AF_UNIX) as unix, socket.socket(type=socket.SOCK_DGRAM) as udp:
            cover.protect(unix)
            cover.protect(udp)
        cover.protect(unix)


def test_trouble_warns_once_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The first time as a warning, each time in the log, never as an exception."""
    cover = Cover(Policy(20, 10, 3))
    with tcp_pair() as (client, _), caplog.at_level(logging.WARNING, logger="keptalive"):
        broken = Stubborn(client, socket.TCP_KEEPIDLE)
        with pytest.warns(KeptaliveWarning, match="idle: the kernel refused 20"):
            cover.protect(broken)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cover.protect(broken)

    assert len(caplog.records) == 2


def test_trouble_does_not_raise_where_warnings_are_errors() -> None:
    """A program run with -W error keeps its connection."""
    with tcp_pair() as (client, _), warnings.catch_warnings():
        warnings.simplefilter("error")
        Cover(Policy(20, 10, 3)).protect(Stubborn(client, socket.TCP_KEEPIDLE))


def test_a_strange_object_does_not_raise() -> None:
    """Whatever a library hands over, the program goes on."""
    with pytest.warns(KeptaliveWarning, match="not protected"):
        Cover().protect(object())


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


def test_a_wrapped_object_is_not_kept_alive() -> None:
    """No circle: a socket in it closes when the last user lets go, as before."""
    speaker = Speaker()
    put_cover(speaker, Cover())
    wrap(speaker, "say", loudly)
    gone = weakref.ref(speaker)
    del speaker

    assert gone() is None


def test_a_fin_without_goodbye_is_an_end_even_if_a_reset_follows() -> None:
    """A TLS server that just closes has sent everything: OpenSSL's alert to it is answered by a reset."""
    ca = trustme.CA()
    served, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1").configure_cert(served)
    ca.configure_trust(asking)
    with tcp_pair() as (client, server), ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(served.wrap_socket, server, server_side=True)
        with asking.wrap_socket(client, server_hostname="127.0.0.1") as tls, accepted.result() as other:
            Cover().protect(tls)
            other.sendall(b"done")
            bare = socket.socket(fileno=other.detach())
            bare.shutdown(socket.SHUT_WR)
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            bare.close()

            assert tls.recv(9) == b"done"
            assert tls.recv(9) == b""


def test_a_killed_connection_is_told_from_a_closed_one() -> None:
    """Unanswered probes and a reset kill; the peer's FIN does not, nor a FIN with a reset after it."""
    with tcp_pair() as (client, server):
        assert not connection_was_killed(client)
        server.close()
        assert client.recv(1) == b""
        assert not connection_was_killed(client)
    with tcp_pair() as (client, server):  # a server that says it is done before it has read everything
        client.sendall(b"more than it wants")
        server.sendall(b"done")
        server.shutdown(socket.SHUT_WR)
        server.close()
        while client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x07":
            pass  # the reset is under way
        assert client.recv(9) + client.recv(9) == b"done"
        assert not connection_was_killed(client)
    with tcp_pair() as (client, server):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert connection_was_killed(client)
    with tcp_pair() as (client, _):
        Cover(Policy(1, 1, 1)).protect(client)
        client.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)
        client.settimeout(30)
        with pytest.raises(TimeoutError) as caught:
            client.recv(1)

        assert caught.value.errno == errno.ETIMEDOUT
        assert connection_was_killed(client)
