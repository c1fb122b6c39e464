"""What may become of a request when its path misbehaves, and by when. Pure: from what happened to complaints.

Rule: a held request ends in the whole answer or in an error. If nothing that it had sent was unacknowledged
when the path died, the error comes within 1.15 x detection time + 1 s; else by the user timeout or the
client's own time-out where set, else by the kernel's limit. And no request is sent more often than plain.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.kernel_limit import latest_end, latest_end_of_connect
from keptalive import Policy

SLACK = 1.15
LEEWAY = 1.0  # s
#: s. A client that is held up for longer may have connected, and lost its path before hold() could help; or
#: all of it may have happened between two looks at its sockets.
PROMPT = 2.0


@dataclass(frozen=True)
class Happened:
    """One request's fate. Times in seconds of one clock."""

    variant: str  # "held" or "plain"
    outcome: str  # "answered", "truncated", "failed" or "lost": it still waited when the round was over
    began: float
    ended: float | None
    requests: int  # that reached the server
    policy: str = "1:1:9"
    error: str | None = None
    held: bool = True  # hold() was called; a stream has to be open first, and its opening is not held
    #: When the path of its last connection died; None: it did not.
    died: float | None = None
    #: Since when something that was sent, data or SYN, waits for an acknowledgement that cannot come.
    data_since: float | None = None
    syn_since: float | None = None
    rto: float = 0.2  # of the connection, before anything was sent again
    #: Of the client: what it was told, or what it makes of that when plain. Some count each step anew.
    own_timeout: float | None = None
    protected: bool = True  # its sockets were seen to carry the policy
    late: float = 0.0  # by how much its process was held up at the worst


@dataclass(frozen=True)
class Limits:
    """What the kernel of the client's side was told."""

    retries: int
    syn_retries: int


def deadline(happened: Happened, limits: Limits) -> tuple[float, str]:
    """Return when an error must have come, and which rule says so; the path died."""
    assert happened.died is not None
    policy = Policy.parse(happened.policy)
    since = max(happened.began, happened.died)
    due, why = since + SLACK * policy.detection_time, "detection time"
    if happened.data_since is not None:
        if policy.user_timeout is not None:
            due, why = happened.data_since + SLACK * policy.user_timeout, "user timeout"
        else:
            due, why = happened.data_since + latest_end(limits.retries, happened.rto), "tcp_retries2"
    if happened.syn_since is not None:
        connecting = happened.syn_since + latest_end_of_connect(limits.syn_retries)
        if connecting > due:
            due, why = connecting, "tcp_syn_retries"
    if happened.own_timeout is not None and since + SLACK * happened.own_timeout < due:
        due, why = since + SLACK * happened.own_timeout, "the client's own time-out"
    return due + LEEWAY + happened.late, why


def _held_up_for_too_long(happened: Happened) -> bool:
    """Tell whether its probes may have gone unanswered: the firewall is a process of the same machine."""
    policy = Policy.parse(happened.policy)
    return happened.late > policy.interval * policy.count


def complaints(happened: Happened, limits: Limits, wanted: str, allowed_requests: int) -> list[str]:
    """Say what is wrong with a held request; nothing, if all is well.

    *wanted* is "answered" where the path lives and the answer must come, else "".
    """
    found = []
    if happened.requests > allowed_requests:
        found.append(f"sent {happened.requests} times, plain {allowed_requests}")
    if happened.held and not happened.protected and happened.outcome != "failed" and happened.late <= PROMPT:
        found.append("its sockets never carried the policy")
    if happened.outcome == "answered":
        return found
    if happened.outcome == "truncated":
        return [*found, "part of an answer passed for the whole"]
    if not happened.held and not wanted:
        return found
    if wanted == "answered" and happened.late > PROMPT:
        return found  # it may have been too late for hold()
    if wanted == "answered":
        found.append(f"{happened.outcome}, though the path lives: {happened.error}")
    elif (
        happened.outcome == "failed"
        and happened.died is None
        and happened.own_timeout is None
        and not _held_up_for_too_long(happened)
    ):
        found.append(f"failed, though its path did not die: {happened.error}")
    if happened.died is not None:
        due, why = deadline(happened, limits)
        if happened.ended is None:
            found.append(f"hangs: the error was due {due - happened.began:.2f} s after it began ({why})")
        elif happened.ended > due:
            found.append(
                f"its error came {happened.ended - due:.2f} s too late, "
                f"{happened.ended - happened.died:.2f} s after the path died ({why})"
            )
    elif happened.ended is None and wanted != "answered":
        found.append("hangs on a path that lives")
    return found
