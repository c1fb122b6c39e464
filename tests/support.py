"""Small things that several test files need.

Rule: a missing right skips a test on a developer's machine and fails it in CI.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

IN_CI = bool(os.environ.get("CI"))

#: Variables that would make a client trust, or go through, something outside the test.
FOREIGN_VARIABLES = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_CA_BUNDLE",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
    *(f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")),
    *(f"{name}_proxy" for name in ("http", "https", "all", "no")),
    "KEPTALIVE_POLICY",
    "COLUMNS",  # pytest-xdist's: sentences are broken at it
)


def require(condition: object, reason: str) -> None:
    """Skip the test with *reason* unless *condition*; in CI, fail it."""
    if not condition:
        missing(reason)


def missing(reason: str) -> NoReturn:
    """Skip the test, in CI fail it: what it needs is not on this machine."""
    if IN_CI:
        pytest.fail(f"must run in CI, but: {reason}")
    pytest.skip(reason)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would lead clients elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}


@contextmanager
def tcp_pair(family: int = socket.AF_INET) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a connected pair of TCP sockets over loopback: client, server."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        with client:
            server, _ = listener.accept()
            with server:
                yield client, server
