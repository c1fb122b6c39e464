"""What install() covers and what it cannot, in words for people.

Rule: everything that a reader might take for covered and is not has a row here,
with what to use instead.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from keptalive.cover import Cover
from keptalive.environment import VARIABLE
from keptalive.policy import Policy
from keptalive.process_wide.scope import Scope


@dataclass(frozen=True)
class NotCovered:
    """One kind of connection that install() does not reach."""

    what: str
    reason: str
    instead: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}; instead: {self.instead}"


@dataclass(frozen=True)
class InstallReport:
    """What holds for this process since install(); `print()` it, or go through its rows."""

    policy: Policy
    exact: (
        bool  # an explicit policy; False: the default, which leaves the program's own better settings alone
    )
    scope: Scope | None  # None: every network and port
    covers: tuple[str, ...] = ()
    cannot: tuple[NotCovered, ...] = ()
    off: str | None = None  # why nothing was done

    def __str__(self) -> str:
        if self.off:
            return f"keptalive is off for this process: {self.off}"
        policy = f"idle {self.policy.idle} s, interval {self.policy.interval} s, count {self.policy.count}"
        if self.policy.user_timeout is not None:
            policy += f", user timeout {self.policy.user_timeout:g} s"
        how = (
            "set exactly"
            if self.exact
            else "the default: a connection whose own idle and interval are no longer is left alone"
        )
        lines = [f"keptalive is on for this process: {policy} ({how})"]
        if self.scope is not None:
            lines.append(f"only connections {self.scope}")
        lines += ["covered:", *(f"  {row}" for row in self.covers)]
        lines += ["not covered:"]
        for row in self.cannot:
            lines += [f"  {row.what}", f"    {row.reason}", f"    instead: {row.instead}"]
        return "\n".join(lines)


_PYTHON = (
    "socket.socket, in blocking, non-blocking and TLS connections: http.client, urllib, requests, urllib3, "
    "httpx, aiohttp, asyncio, anyio, trio, tornado, botocore, openai, anthropic, websockets, and all others "
    "that use it"
)
_ALWAYS = (
    NotCovered("connections that are open already", "only a connect is seen", "keptalive.hold(client)"),
    NotCovered(
        "connections that others open to this process",
        "only what this process opens is changed",
        "keptalive.hold(listening_socket)",
    ),
    NotCovered(
        "processes that this one starts, unless by fork()", "they have sockets of their own", "keptalive run"
    ),
    NotCovered(
        "TCP Fast Open: sendto() and sendmsg() with MSG_FASTOPEN",
        "such a connection opens without connect()",
        "keptalive.hold(sock)",
    ),
)
_OTHERS = NotCovered(
    "other libraries that open connections in C, Rust or Go",
    "no Python socket is involved",
    "keptalive run, or keepalive parameters of their own",
)
_LIBPQ = "its connection parameters keepalives_idle, keepalives_interval, keepalives_count; or keptalive run"
# Loaded modules whose sockets are not Python's -> what their users can do.
_OWN_SOCKETS = {
    "grpc": "options=keptalive.clients.grpc.channel_options() for a new channel, or keptalive run",
    "psycopg2": _LIBPQ,
    "psycopg": _LIBPQ,
    "MySQLdb": "keptalive run",
    "pyodbc": "keptalive run",
}


def describe(cover: Cover, scope: Scope | None, failed: dict[str, str]) -> InstallReport:
    """Return the report on a rule; *failed* are the modules that could not be wrapped, and why."""
    if cover.off:
        return InstallReport(cover.policy, cover.exact, scope, off=f"{VARIABLE}=off")
    covers = [_PYTHON]
    cannot = list(_ALWAYS)
    for module, what in (
        ("uvloop", "uvloop's create_connection()"),
        ("gevent._socket3", "gevent's sockets, monkey-patched or not"),
        ("pycurl", "pycurl.Curl handles made from now on, tornado's curl client"),
    ):
        name = module.partition(".")[0]
        if module in failed:
            cannot.append(NotCovered(what, f"this {name} is none we know: {failed[module]}", "keptalive run"))
        elif module != "pycurl" or scope is None:
            covers.append(what if module in sys.modules else f"{what}, once {name} is imported")
    if scope is not None:
        cannot += _scoped(scope)
    elif "pycurl" in sys.modules and "pycurl" not in failed:
        cannot.append(
            NotCovered(
                "handles of modules that said `from pycurl import Curl` before",
                "the name they hold cannot be reached",
                "keptalive.hold(curl), or call install() first",
            )
        )
    cannot += [
        NotCovered(name, "its connections are opened outside Python", instead)
        for name, instead in _OWN_SOCKETS.items()
        if name in sys.modules
    ]
    return InstallReport(cover.policy, cover.exact, scope, tuple(covers), (*cannot, _OTHERS))


def _scoped(scope: Scope) -> list[NotCovered]:
    """Return what is out of reach because only some connections are meant."""
    rows = [
        NotCovered(
            "pycurl.Curl handles",
            "libcurl shows a socket before it says where to",
            "keptalive.hold(curl), or no networks and ports",
        )
    ]
    if scope.networks is not None:
        rows.append(
            NotCovered(
                "non-blocking connects to a host name instead of an address",
                "it is not known which network that will be",
                "resolve the name first, as asyncio and trio do",
            )
        )
    return rows
