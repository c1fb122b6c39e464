"""explain() without clients: numbers, chains, groups, and what is left unsaid. tests/clients has the rest."""

from __future__ import annotations

import asyncio
import builtins
import errno
import json
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import keptalive
from clients.fates import full_listener
from keptalive.ends import lost
from support import clean_environment, missing, tcp_pair


def cause(error: BaseException) -> str | None:
    found = keptalive.explain(error)
    return None if found is None else found.cause


def caught(function: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as raised:
        function()
    return raised.value


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("ETIMEDOUT", "path-died-or-no-answer"),
        ("EHOSTUNREACH", "unreachable-or-path-died"),
        ("ENETUNREACH", "unreachable-or-path-died"),
        ("ENETRESET", "path-died"),
        ("ECONNRESET", "reset"),
        ("ECONNREFUSED", "refused"),
        ("ECONNABORTED", "aborted-here"),
        ("EPIPE", "over-before-sending"),
        ("ESHUTDOWN", "over-before-sending"),
        ("ENOENT", None),
        ("EACCES", None),
    ],
)
def test_numbers_alone(number: str, expected: str | None) -> None:
    """An errno without its history names both of what it may mean; one that is no network's, nothing."""
    error = OSError(getattr(errno, number), "some words")
    found = keptalive.explain(error)

    assert cause(error) == expected
    assert (None if found is None else found.errno_name) == (number if expected else None)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (10060, "path-died-or-no-answer"),
        (10052, "path-died"),
        (10053, "aborted-here"),
        (10054, "reset"),
        (10061, "refused"),
        (10065, "unreachable-or-path-died"),
    ],
)
def test_numbers_of_windows(number: int, expected: str) -> None:
    """WSAETIMEDOUT and the others, wherever the exception is looked at."""
    found = keptalive.explain(OSError(number, "A connection attempt failed"))

    assert found is not None
    assert found.cause == expected
    assert found.errno_name is not None
    assert found.errno_name.startswith("E")


@pytest.mark.parametrize(
    ("number", "expected"), [(121, "path-died-or-no-answer"), (64, "reset"), (1225, "refused")]
)
def test_what_windows_says_of_overlapped_operations(number: int, expected: str) -> None:
    """asyncio on Windows raises what the operation ended with, in `winerror`."""

    class WindowsError(OSError):
        winerror = number

    assert cause(WindowsError(22, "The semaphore timeout period has expired")) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue drops SYNs, and TCP_SYNCNT, are Linux's")
def test_an_attempt_to_connect_that_nobody_answers() -> None:
    """ETIMEDOUT of connect() is no path that died, if it can be told; a function that also reads hides it."""
    open_sockets = full_listener()
    address = open_sockets[0].getsockname()

    def impatient() -> socket.socket:
        sock = socket.socket()
        open_sockets.append(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        return sock

    def connect() -> None:
        impatient().connect(address)

    def connect_and_read() -> bytes:
        sock = impatient()
        sock.connect(address)
        return sock.recv(1)

    async def in_asyncio() -> None:
        sock = impatient()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)

    functions = (connect, lambda: asyncio.run(in_asyncio()), connect_and_read)
    with ThreadPoolExecutor(len(functions)) as pool:  # each takes three seconds
        errors = list(pool.map(caught, functions))
    for sock in open_sockets:
        sock.close()

    assert [getattr(error, "errno", None) for error in errors] == [errno.ETIMEDOUT] * 3
    assert [cause(error) for error in errors] == ["no-answer", "no-answer", "path-died-or-no-answer"]


def test_sending_what_comes_too_late() -> None:
    """A connection that was reset says ECONNRESET once, and EPIPE from then on."""
    with tcp_pair() as (client, server):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        first = caught(lambda: client.recv(1))
        second = caught(lambda: client.send(b"more"))

    assert cause(first) == "reset"
    assert cause(second) == "over-before-sending"


@pytest.mark.lab
def test_no_way_to_the_host() -> None:
    """What a router says of the attempt to connect, in a network that has no way there."""
    from keptalive.errors import LabError
    from keptalive.lab import open_lab

    try:
        lab = open_lab(engine="kernel")
    except LabError as error:
        missing(str(error))
    with lab, lab.client_socket() as sock:
        error = caught(lambda: sock.connect(("198.51.100.1", 80)))

    assert getattr(error, "errno", None) in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    assert cause(error) == "unreachable"


def test_a_name_that_is_none() -> None:
    """Without an address there was no connection. The name cannot be: labels have at most 63 letters."""
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert cause(error) == "no-such-host"


def _chained(outer: BaseException, inner: BaseException, *, on_purpose: bool) -> BaseException:
    if on_purpose:
        outer.__cause__ = inner
    else:
        outer.__context__ = inner
    return outer


def test_wrapped_in_the_users_own() -> None:
    """However deep, by `from` or not."""
    for on_purpose in (True, False):
        error: BaseException = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        for depth in range(5):
            error = _chained(RuntimeError(f"job {depth} failed"), error, on_purpose=on_purpose)

        assert cause(error) == "reset"


def test_the_last_attempt_counts() -> None:
    """What was raised while an earlier failure was handled is not that failure."""
    first = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    refused = _chained(ConnectionRefusedError(errno.ECONNREFUSED, "refused"), first, on_purpose=False)
    out_of_time = _chained(TimeoutError("timed out"), first, on_purpose=False)

    assert cause(refused) == "refused"
    assert cause(_chained(RuntimeError(), refused, on_purpose=True)) == "refused"
    assert cause(out_of_time) == "client-timeout"


def test_a_chain_that_bites_its_tail() -> None:
    """Ends."""
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one

    assert cause(one) is None


class Group(Exception):
    """As ExceptionGroup, its backport and trio's MultiError have it."""

    def __init__(self, *exceptions: BaseException) -> None:
        super().__init__("several")
        self.exceptions = exceptions


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ((OSError(errno.ECONNREFUSED, "v6"), OSError(errno.ECONNREFUSED, "v4")), "refused"),
        ((ValueError("mine"), OSError(errno.ECONNRESET, "reset")), "reset"),
        ((OSError(errno.ECONNREFUSED, "v6"), OSError(errno.ECONNRESET, "v4")), "several"),
        ((ValueError("mine"), KeyError("mine")), None),
    ],
)
def test_groups(members: tuple[BaseException, ...], expected: str | None) -> None:
    """Members that agree speak for the group, whatever made it; those that do not are several."""
    groups: list[BaseException] = [Group(*members), Group(Group(*members))]
    if sys.version_info >= (3, 11):
        groups.append(builtins.BaseExceptionGroup("several", members))
    groups.append(_chained(OSError("All connection attempts failed"), groups[0], on_purpose=True))

    assert [cause(group) for group in groups] == [expected] * len(groups)


def test_addresses_that_were_tried_one_after_the_other() -> None:
    """asyncio joins the failures of several addresses into one text."""
    refused = (
        "[Errno 111] Connect call failed ('::1', 80, 0, 0), [Errno 111] Connect call failed ('10.0.0.1', 80)"
    )
    mixed = refused.replace("111", "101", 1)
    if errno.ECONNREFUSED != 111:
        pytest.skip("numbers of Linux")

    assert cause(OSError(f"Multiple exceptions: {refused}")) == "refused"
    assert cause(OSError(f"Multiple exceptions: {mixed}")) == "several"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("Timeout"),
        EOFError("of a file"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        ssl.SSLCertVerificationError(1, "certificate verify failed"),
        subprocess.TimeoutExpired("sleep", 1),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        Exception("[Errno 2] No such file"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_says_nothing(error: BaseException) -> None:
    """No guess."""
    assert keptalive.explain(error) is None


@pytest.mark.parametrize("error", [TimeoutError("timed out"), TimeoutError(), asyncio.TimeoutError()])
def test_a_time_limit_of_the_programs(error: BaseException) -> None:
    """Without a number it is no kernel's: nothing is known of the network."""
    assert cause(error) == "client-timeout"
    assert "what the network did is not known" in str(keptalive.explain(error))


def test_a_body_cut_short() -> None:
    """keptalive's own error says that it was no FIN, and not what it was."""
    assert cause(lost()) == "killed"


def test_the_explanation() -> None:
    """A value: its sentence as a string, the number by its name, what the client called it."""

    class ReadTimeout(Exception):
        """As requests has it."""

    kernels = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
    found = keptalive.explain(
        _chained(ReadTimeout("Read timed out. (read timeout=None)"), kernels, on_purpose=True)
    )

    assert found is not None
    assert str(found) == found.what
    assert found.errno_name == "ETIMEDOUT"
    assert found.hint.startswith("ReadTimeout is the client's name for it: no time limit of its own ran out.")
    with pytest.raises(AttributeError):
        found.what = "another"  # type: ignore[misc]


def test_it_imports_no_client() -> None:
    """Whatever it is asked."""
    code = (
        "import keptalive, json, sys\n"
        "assert keptalive.explain(TimeoutError(110, 'Connection timed out'))\n"
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True
    )

    clients = {"requests", "urllib3", "httpx", "httpcore", "aiohttp", "anyio", "asyncio", "botocore", "ssl"}
    assert set(json.loads(done.stdout)) & clients == set()
