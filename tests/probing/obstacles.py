"""What the lab's firewall does not do by itself: loss, resets, filters, and servers with a will of their own.

Rule: rules are added inside the lab's own namespaces, by commands that join them; any user who can open the
lab can. They need the program nft.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import keptalive
from keptalive.lab import Lab
from keptalive.lab.engines.namespaced import NamespacedLab

# A server's own packets are not dropped where they leave: its kernel would notice, and abandon half-open
# connections, which no packet lost on the way makes it do.
_DROP_SOME = """
table inet loss {{
  chain arriving {{
    type filter hook prerouting priority -300;
    meta l4proto tcp numgen random mod 10000 < {arriving} drop
  }}
  chain leaving {{
    type filter hook output priority 0;
    meta l4proto tcp numgen random mod 10000 < {leaving} drop
  }}
}}
"""
# 52 bytes: an IPv4 segment with a time stamp and nothing else, as keepalive probes are.
_DROP_EMPTY = """
table inet filter {
  chain leaving {
    type filter hook output priority 0;
    tcp flags & (fin|syn|rst|psh|ack) == ack meta length 52 drop
  }
}
"""
_DROP_ALL = """
table inet down {
  chain arriving {
    type filter hook prerouting priority -300; policy drop;
  }
}
"""
# A firewall of the client's own that forgets, and takes what the client then sends for a beginning.
_FORGET_UNKNOWN = """
table inet forgets {
  chain arriving {
    type filter hook input priority 0;
    meta iif != "lo" meta l4proto tcp ct state != { established, related } drop
  }
}
"""


def _run(lab: Lab, side: str, argv: list[str], text: str = "") -> str:
    assert isinstance(lab, NamespacedLab)
    network, user = lab._networks[side], lab._user
    enter = [sys.executable, str(Path(__file__).with_name("enter.py"))]
    done = subprocess.run(
        [*enter, str(network), "" if user is None else str(user), *argv],
        input=text,
        pass_fds=[network, *([] if user is None else [user])],
        env={**os.environ, "PYTHONPATH": str(Path(keptalive.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _rules(lab: Lab, side: str, text: str) -> None:
    _run(lab, side, ["env", "PATH=/usr/sbin:/sbin:/usr/bin:/bin", "nft", "-f", "-"], text)


def lose(lab: Lab, part: float) -> None:
    """Lose that part of the packets in each direction: before the firewall, and behind it."""
    share = round(part * 10000)
    _rules(lab, "client", _DROP_SOME.format(arriving=share, leaving=share // 2))
    _rules(lab, "server", _DROP_SOME.format(arriving=share // 2, leaving=0))


def forget_loosely(lab: Lab, seconds: int) -> None:
    """Forget after that time on the client's side, and let the client's next packet begin anew."""
    _track(lab, tcp_timeout_established=seconds, tcp_loose=1)
    _rules(lab, "client", _FORGET_UNKNOWN)


def _track(lab: Lab, **settings: int) -> None:
    for name, value in settings.items():
        _run(lab, "client", ["sh", "-c", f"echo {value} > /proc/sys/net/netfilter/nf_conntrack_{name}"])


def drop_empty_segments(lab: Lab) -> None:
    """Let no bare acknowledgement and no keepalive probe of the client pass."""
    _rules(lab, "client", _DROP_EMPTY)


def take_down(lab: Lab) -> None:
    """Let nothing arrive at the server."""
    _rules(lab, "server", _DROP_ALL)


def unplug(lab: Lab) -> None:
    """Take the server's link down: its host is not there any more, and the firewall says so."""
    (link,) = re.findall(r"^\d+: (?!lo)([^:@]+)", _run(lab, "server", ["ip", "link"]), re.MULTILINE)
    _run(lab, "server", ["ip", "link", "set", link, "down"])


def left_at_the_server(lab: Lab) -> int:
    """Count the connections that the server's kernel still knows, once what is on its way has arrived."""
    left = -1
    for _ in range(10):
        listing = lab.popen_server(["ss", "-Htn"], stdout=subprocess.PIPE, text=True)
        ends = [line.split()[3:5] for line in listing.communicate(timeout=30)[0].splitlines()]
        assert listing.returncode == 0
        # What the server's programs have among themselves is none of ours.
        left = sum(local.rpartition(":")[0] != remote.rpartition(":")[0] for local, remote in ends)
        if left == 0:
            break
        time.sleep(0.3)
    return left


_SERVER = """
import asyncio, socket, sys

async def welcome(reader, writer):
    sock, what = writer.get_extra_info("socket"), sys.argv[1]
    if what == "probes":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.sleep(600)
    while what == "talks":
        writer.write(b"x")
        await asyncio.sleep(1.5)
    await asyncio.sleep(float(sys.argv[2]))
    if what == "resets":
        writer.transport.abort()
    writer.close()

async def main():
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = await asyncio.start_server(welcome, "0.0.0.0", 7000, backlog=200)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def serve(lab: Lab, what: str, seconds: float = 0) -> int:
    """Start a server that "closes" or "resets" a connection after that time, "probes", or "talks"."""
    process = lab.popen_server(
        [sys.executable, "-c", _SERVER, what, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == "ready\n"
    return 7000
