"""The kernel's own limit for what nobody acknowledges: the formula, and a path that dies under a request.

A held request is sent into a path that has just died: no probe leaves while data is in flight, so keepalive
cannot end it. With `tcp_retries2` lowered in the lab's own namespace the kernel does, in the time that its
formula gives; with the default, which amounts to a quarter of an hour, the same request still waits then.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from dataclasses import dataclass

import pytest

import keptalive
from chaos.kernel_limit import DEFAULT_RETRIES, latest_end, latest_end_of_connect, model_timeout
from keptalive.errors import LabError
from keptalive.lab import open_lab
from keptalive.lab.engines.namespaced import NamespacedLab
from support import missing

RETRIES = 3
POLICY = keptalive.Policy(idle=1, interval=1, count=2)
REQUEST = b"GET /sleep/0 HTTP/1.1\r\nHost: lab\r\n\r\n"


@pytest.mark.parametrize(
    ("retries", "seconds"),
    [
        # Documentation/networking/ip-sysctl.rst: 15 is "a hypothetical timeout of 924.6 seconds".
        (15, 924.6),
        (3, 3.0),
        (0, 0.2),
        (9, 204.6),
        (10, 324.6),
    ],
)
def test_the_formula_is_the_kernels(retries: int, seconds: float) -> None:
    assert model_timeout(retries) == pytest.approx(seconds)


@pytest.mark.parametrize("rto", [0.2, 0.204, 0.21, 0.25, 0.3, 0.4, 0.5])
@pytest.mark.parametrize("retries", [1, 3, 6, 8, 15])
def test_no_connection_ends_later(retries: int, rto: float) -> None:
    """Retransmissions after one wait, two more, four more: the first that is due at the limit is the last."""
    wait = due = rto
    while due - rto < model_timeout(retries):
        wait = min(2 * wait, 120)
        due += wait

    assert model_timeout(retries) < due <= latest_end(retries, rto)


def test_by_default_it_is_a_quarter_of_an_hour() -> None:
    """At most one more wait of two minutes, late by an eighth; and what is waited for here are seconds."""
    assert 924.6 < latest_end(DEFAULT_RETRIES) < 20 * 60
    assert latest_end(RETRIES) < 8
    assert latest_end_of_connect(2) == pytest.approx(7 * 1.125)


@dataclass
class Ended:
    """How a request into the dark ended; `after` is None while it still waits."""

    after: float | None = None
    error: OSError | None = None


def _ask_into_the_dark(lab: NamespacedLab, policy: keptalive.Policy, until: float) -> Ended:
    """Connect, let the path die, ask; return what had come of it *until* so many seconds later."""
    ended = Ended()
    with lab.client_socket() as sock:
        sock.connect((lab.host, lab.port))
        keptalive.hold(sock, policy)
        _until_dark(lab)
        began = time.monotonic()
        sock.sendall(REQUEST)

        def wait() -> None:
            try:
                assert sock.recv(1) == b"", "an answer came through the dark"
            except OSError as error:
                if error.errno != errno.EBADF:
                    ended.after, ended.error = time.monotonic() - began, error

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(until)
        found = Ended(ended.after, ended.error)
        sock.shutdown(socket.SHUT_RDWR) if waiting.is_alive() else None
        waiting.join()
    return found


def _until_dark(lab: NamespacedLab) -> None:
    while not any(event.kind == "blackhole" for event in lab.what_mattered()[1]):
        time.sleep(0.02)


def _in_a_lab(retries: int | None, policy: keptalive.Policy, until: float) -> Ended:
    try:
        lab = open_lab("blackhole@0.5", engine="packet")
    except LabError as error:
        missing(str(error))
    with lab:
        assert isinstance(lab, NamespacedLab)
        if retries is not None:
            lab.set_sysctl("client", "ipv4/tcp_retries2", retries)
        return _ask_into_the_dark(lab, policy, until)


@pytest.mark.lab
def test_what_is_in_flight_ends_by_the_kernels_limit_and_not_before() -> None:
    """Held, lowered: ETIMEDOUT within the limit, later than keepalive's; held, default: it still waits."""
    limit = latest_end(RETRIES, rto=0.25)
    default: list[Ended] = []
    beside = threading.Thread(target=lambda: default.append(_in_a_lab(None, POLICY, limit + 2)))
    beside.start()
    lowered = _in_a_lab(RETRIES, POLICY, 3 * limit)
    beside.join()

    assert lowered.after is not None and lowered.error is not None
    assert lowered.error.errno == errno.ETIMEDOUT
    assert model_timeout(RETRIES) <= lowered.after <= limit + 1
    assert default == [Ended()]


@pytest.mark.lab
def test_a_user_timeout_comes_before_the_kernels_limit() -> None:
    """With the default tcp_retries2: what is unacknowledged for two seconds ends the connection."""
    policy = keptalive.Policy(idle=1, interval=1, count=9, user_timeout=2)
    ended = _in_a_lab(None, policy, 60)

    assert ended.after is not None and ended.error is not None
    assert ended.error.errno == errno.ETIMEDOUT
    assert 2 <= ended.after <= 1.15 * 2 + 1
