"""One socket: set the policy, read it back, report.

Rule: everything meets here. Above stands what people use, below what platforms
offer; only this file calls setsockopt and getsockopt for keepalive. It takes
whatever has `family`, `type`, `getsockopt` and `setsockopt`: sockets, SSLSockets,
asyncio's TransportSocket, uvloop's PseudoSocket, trio's and gevent's sockets.
"""

from __future__ import annotations

import _socket
import errno
import socket
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, overload

from keptalive import platforms, tcp_info
from keptalive.environment import VARIABLE, chosen, switched_off
from keptalive.errors import NotSupported, SocketError, UnknownTarget
from keptalive.platforms import FIELDS, Field, Platform
from keptalive.policy import Policy
from keptalive.tcp_info import TcpInfo

# IPPROTO_IP (not said), IPPROTO_TCP, IPPROTO_MPTCP: SCTP sockets are streams as well.
_TCP_PROTOCOLS = (0, 6, 262)
_INTERNET = (int(socket.AF_INET), int(socket.AF_INET6))
_STREAM = int(socket.SOCK_STREAM)

#: The interpreter's own socket class, whatever gevent put into the module `socket`. What it says goes
#: past the enums that socket.socket makes of a family (1 us of a connect's 25), and past the wrappers
#: that install() puts there.
SocketType: Any = _socket.socket
_family, _kind_of, _protocol = (getattr(SocketType, name).__get__ for name in ("family", "type", "proto"))

#: True while keptalive itself sets options: install() guards them against what the program says
#: later, not against hold() and apply().
own_word: ContextVar[bool] = ContextVar("keptalive_own_word", default=False)


class SocketLike(Protocol):
    """The part of a socket that keepalive needs."""

    @property
    def family(self) -> int:
        """Return AF_INET or the like."""

    @property
    def type(self) -> int:
        """Return SOCK_STREAM or the like."""

    @overload
    def getsockopt(self, level: int, optname: int, /) -> int: ...
    @overload
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """Read an option: an int, or bytes if *buflen* is given."""

    def setsockopt(self, level: int, optname: int, value: int, /) -> None:
        """Set an option."""

    def getsockname(self) -> Any:
        """Return the local address."""

    def getpeername(self) -> Any:
        """Return the remote address; OSError if there is none."""


@dataclass(frozen=True)
class SocketState:
    """What the kernel holds for one socket now; None where it would not say. Times in seconds."""

    enabled: bool | None
    idle: int | None
    interval: int | None
    count: int | None
    user_timeout: float | None  # None also when off
    tcp_info: TcpInfo | None
    local: str | None  # "ADDR:PORT", IPv6 in brackets
    remote: str | None

    def protects(self, policy: Policy) -> bool:
        """Tell whether keepalive is on here with idle and interval both no longer than *policy*'s."""
        return bool(
            self.enabled
            and self.idle is not None
            and self.idle <= policy.idle
            and self.interval is not None
            and self.interval <= policy.interval
        )

    def __str__(self) -> str:
        if not self.enabled:
            return "off"
        timeout = "" if self.user_timeout is None else f", user timeout {self.user_timeout:g} s"
        return f"on, idle {self.idle} s, interval {self.interval} s, count {self.count}{timeout}"


@dataclass(frozen=True)
class Report:
    """What apply() found, did, and could not do."""

    policy: Policy
    before: SocketState
    after: SocketState
    changed: bool
    problems: tuple[str, ...] = ()  # a sentence for each field the kernel does not hold as asked
    left_alone: str | None = None  # why nothing was set

    @property
    def ok(self) -> bool:
        """True if the socket is protected as asked (or better, for the default policy)."""
        return not self.problems and self.after.protects(self.policy)

    def __str__(self) -> str:
        where = f"{self.after.local} -> {self.after.remote}"
        if self.left_alone:
            return f"{where}: left alone, {self.left_alone}"
        return "; ".join((f"{where}: {self.after}", *self.problems))


def is_tcp(sock: Any) -> bool:
    """Tell whether *sock* is a TCP (or MPTCP) socket over IPv4 or IPv6."""
    if isinstance(sock, SocketType):
        family, kind, protocol = _family(sock), _kind_of(sock), _protocol(sock)
    else:
        family, kind, protocol = sock.family, sock.type, getattr(sock, "proto", 0)
    return family in _INTERNET and kind == _STREAM and protocol in _TCP_PROTOCOLS


def option_values(policy: Policy, platform: Platform | None = None) -> dict[Field, tuple[int, int, int]]:
    """Return `Platform.option_values()` of a platform, of this one if none is given."""
    return (platform or platforms.current()).option_values(policy)


def socket_options(policy: Policy | None = None) -> list[tuple[int, int, int]]:
    """Return *policy* as the list of (level, option, value) that urllib3, httpx and others take.

    Add it to what the client would set itself (TCP_NODELAY, for urllib3) where the
    parameter replaces its default. Without a policy, the default one. Empty under
    KEPTALIVE_POLICY=off. Raises PolicyError for a value this OS does not take, and
    NotSupported for a field it does not have.
    """
    if switched_off():
        return []
    policy = chosen(policy)
    values = option_values(policy)
    for field in missing_fields(policy):
        raise NotSupported(f"{field} cannot be set here: {platforms.current().missing[field]}")
    return list(values.values())


def missing_fields(policy: Policy) -> list[Field]:
    """Return the fields of *policy* that this operating system has no option for."""
    missing = platforms.current().missing
    return [f for f in FIELDS if f in missing and (f == "enabled" or getattr(policy, f) is not None)]


def apply(sock: SocketLike, policy: Policy | None = None) -> Report:
    """Set *policy* on one TCP socket (open, listening or not yet connected) and read it back.

    An explicit policy is set exactly. Without one the default holds, and a socket whose
    keepalive is on with idle and interval both no longer than the default's is left alone.
    What the kernel would not do is in `Report.problems`. Raises UnknownTarget if this is
    no TCP socket, PolicyError for a value this OS does not take (nothing is changed then),
    SocketError if the socket is closed.
    """
    exact = policy is not None
    policy = chosen(policy)
    values = option_values(policy)
    before = read_socket(sock)
    if switched_off():
        return Report(policy, before, before, False, left_alone=f"{VARIABLE}=off")
    if not exact and before.protects(policy):
        return Report(policy, before, before, False, left_alone="its own keepalive is at least as eager")
    refused = set_options(sock, values)
    after = read_socket(sock)
    problems = [
        f"{field} cannot be set here: {platforms.current().missing[field]}"
        for field in missing_fields(policy)
    ]
    problems += _differences(policy, after, refused)
    changed = any(getattr(after, field) != getattr(before, field) for field in FIELDS)
    return Report(policy, before, after, changed, tuple(problems))


def set_options(sock: SocketLike, values: dict[Field, tuple[int, int, int]]) -> dict[Field, OSError]:
    """Set each option; return those the kernel refused. Raises SocketError for a closed socket."""
    refused: dict[Field, OSError] = {}
    outer = own_word.set(True)
    try:
        for field, (level, number, raw) in values.items():
            try:
                sock.setsockopt(level, number, raw)
            except OSError as error:
                if error.errno == errno.EBADF:
                    raise SocketError(error.errno, "the socket is closed") from error
                refused[field] = error
    finally:
        own_word.reset(outer)
    code = platforms.current().ioctl_keepalive
    if code is not None and ("idle" in refused or "interval" in refused):
        # Windows before 10 1709: both at once, in milliseconds, by ioctl. Not readable afterwards.
        milliseconds = (1, values["idle"][2] * 1000, values["interval"][2] * 1000)
        sock.ioctl(code, milliseconds)  # type: ignore[attr-defined]  # a Windows socket has it
        del refused["idle"], refused["interval"]
    return refused


def read_socket(sock: SocketLike) -> SocketState:
    """Return what the kernel holds for one TCP socket. Raises UnknownTarget for any other socket."""
    if not is_tcp(sock):
        raise UnknownTarget(f"{_kind(sock)} has no TCP keepalive")
    values = read_options(sock)
    enabled = values.pop("enabled")
    return SocketState(
        enabled=None if enabled is None else bool(enabled),
        tcp_info=read_tcp_info(sock),
        local=_address(sock.getsockname),
        remote=_address(sock.getpeername),
        **values,  # type: ignore[arg-type]  # idle, interval and count decode to int
    )


def read_options(sock: SocketLike) -> dict[Field, float | None]:
    """Return each field as the kernel holds it, None where it would not say. Raises SocketError if closed."""
    options = platforms.current().options
    values: dict[Field, float | None] = dict.fromkeys(FIELDS)
    for field, option in options.items():
        try:
            values[field] = option.decode(sock.getsockopt(option.level, option.number))
        except OSError as error:
            if error.errno == errno.EBADF:
                raise SocketError(error.errno, "the socket is closed") from error
    return values


def read_tcp_info(sock: SocketLike) -> TcpInfo | None:
    """Return TCP_INFO of a socket, or None where the platform or the socket has none."""
    where = platforms.current().tcp_info
    if where is None:
        return None
    try:
        return tcp_info.parse(sock.getsockopt(*where, tcp_info.SIZE))
    except OSError:  # a state without one, e.g. MPTCP before 5.16: None says so
        return None


def format_address(address: Any) -> str | None:
    """Return a socket address as "ADDR:PORT", IPv6 in brackets; None for an empty one."""
    if not isinstance(address, tuple) or len(address) < 2:
        return None
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(get: Any) -> str | None:
    try:
        return format_address(get())
    except OSError:  # not connected, or reset meanwhile: there is no address to name
        return None


def _differences(policy: Policy, after: SocketState, refused: dict[Field, OSError]) -> list[str]:
    """Return a sentence for each field that the kernel does not hold as asked."""
    sentences = []
    for field in FIELDS:
        wanted = True if field == "enabled" else getattr(policy, field)
        got = getattr(after, field)
        if field in refused:
            sentences.append(f"{field}: the kernel refused {wanted}: {refused[field].strerror}")
        elif (
            wanted is not None
            and got is not None
            and got != wanted
            and field not in platforms.current().missing
        ):
            sentences.append(f"{field}: asked for {wanted}, the kernel holds {got}")
    return sentences


def _kind(sock: Any) -> str:
    try:
        return f"an {socket.AddressFamily(sock.family).name} {socket.SocketKind(sock.type).name} socket"
    except ValueError:
        return f"a socket of family {sock.family} and type {sock.type}"
