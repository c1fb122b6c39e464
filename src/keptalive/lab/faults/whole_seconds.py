"""What connection tracking asks of a time: whole seconds."""

from __future__ import annotations


def whole_seconds_in_the_kernel(seconds: float, engine: str) -> str | None:
    """Say why the kernel engine cannot forget after *seconds*; None if it can, or for another engine."""
    if engine == "kernel" and seconds % 1:
        # net.netfilter.nf_conntrack_tcp_timeout_established is a number of seconds.
        return f"connection tracking counts whole seconds, not {seconds:g}"
    return None
