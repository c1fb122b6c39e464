"""attach(): keepalive on the connections of a program that runs already; read_process(): look at them.

Rule: one look at one process. To stay with it and its children takes a `Tree` beside the `Keeper`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from keptalive import platforms
from keptalive.environment import chosen
from keptalive.errors import NoSuchProcess, NotSupported
from keptalive.policy import Policy
from keptalive.rescue.keeper import Keeper, Look
from keptalive.sockets import SocketState, is_tcp, option_values, read_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from keptalive.linux.pidfd import OtherProcess


@dataclass(frozen=True)
class AttachReport:
    """What attach() found in a process and did there: for each TCP socket pid, descriptor and Report."""

    pid: int
    sockets: tuple[Look, ...]

    @property
    def ok(self) -> bool:
        """True if each TCP socket of the process is protected as asked, or better."""
        return all(look.report.ok for look in self.sockets)

    def __str__(self) -> str:
        lines = [f"fd {look.descriptor}: {look.report.before} => {look.report}" for look in self.sockets]
        return "\n".join(lines) or f"process {self.pid} has no TCP sockets"


def attach(pid: int, policy: Policy | None = None) -> AttachReport:
    """Turn keepalive on for the TCP sockets that process *pid* has open now, listening ones too.

    What a listening socket accepts later inherits it; other sockets to come are not covered
    (`keptalive attach --follow` does that). The order in which options are set starts no
    burst of probes. An explicit policy is set exactly; the default one leaves sockets alone
    whose keepalive is on with idle and interval no longer than its own.

    As root on any process, as a user on one's own; in whatever network namespace. Raises
    NoSuchProcess, NotPermitted (its message names the cause, its hint what would help),
    NotSupported (not Linux, or before 5.6), PolicyError.
    """
    check(policy)
    with hold_process(pid) as process:
        keeper = Keeper(policy)
        sockets = tuple(keeper.look([process]))
        for refused in keeper.refusals.values():
            raise refused
    return AttachReport(process.pid, sockets)


def read_process(pid: int) -> dict[int, SocketState]:
    """Return descriptor -> what the kernel holds, for each TCP socket that process *pid* has open now.

    Raises NoSuchProcess, NotPermitted and NotSupported as attach() does.
    """
    check(None)
    from keptalive.linux.refusals import refusal

    with hold_process(pid) as process:
        try:
            return {
                descriptor: read_socket(sock)
                for descriptor, _, sock in process.streams(process.sockets())
                if is_tcp(sock)
            }
        except OSError as error:
            raise refusal(pid, error) from error


def check(policy: Policy | None) -> None:
    """Raise what would be wrong with any process: NotSupported elsewhere than on Linux, PolicyError."""
    system = platforms.current().name
    if system != "Linux":
        raise NotSupported(f"{system} does not hand the sockets of one process to another")
    option_values(chosen(policy))


def hold_process(pid: int) -> OtherProcess:
    """Return process *pid*, held. Raises NoSuchProcess, and NotSupported before Linux 5.3."""
    from keptalive.linux.pidfd import OtherProcess
    from keptalive.linux.refusals import refusal

    if not 0 < pid < 1 << 31:  # what a pid_t of a process can be
        raise NoSuchProcess(errno.ESRCH, f"there is no process {pid}")
    try:
        return OtherProcess(pid)
    except OSError as error:
        raise refusal(pid, error) from error
