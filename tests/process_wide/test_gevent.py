"""gevent under install(): its own socket class, monkey-patched or not, before or after."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from clients.servers import Origin
from support import clean_environment

pytest.importorskip("gevent")
pytest.importorskip("requests")

STEPS = {
    "import": "import gevent.socket, gevent.ssl",
    "install": "import keptalive; keptalive.install(keptalive.Policy(20, 10, 3))",
    "patch": "from gevent import monkey; monkey.patch_all()",
}
#: What a process does first; the last two are the control.
ORDERS = (
    ("import", "install"),
    ("install", "import"),
    ("install", "patch"),
    ("patch", "install"),
    ("import",),
    ("patch",),
)
#: Ways to open a connection; `sock` is what they leave. The last is of the class below the patch.
WAYS = {
    "gevent.socket": "import gevent.socket; sock = gevent.socket.create_connection(address)",
    "connect_ex": "import gevent.socket; sock = gevent.socket.socket(); assert not sock.connect_ex(address)",
    "socket": "import socket; sock = socket.create_connection(address)",
    "http.client": (
        "import http.client; c = http.client.HTTPConnection(*address); c.request('GET', '/'); sock = c.sock"
    ),
    "requests": (
        "import requests; s = requests.Session(); url = 'http://%s:%s/' % address\n"
        "r = s.get(url, stream=True); sock = r.raw._connection.sock"
    ),
    "stdlib": (
        "import gevent.monkey; cls = gevent.monkey.get_original('socket', 'socket')\n"
        "sock = cls(); sock.connect(address)"
    ),
}
START = "import json, sys; address = tuple(json.loads(sys.argv[1])); seen = {}"
LOOK = """
import socket
held = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
held += [sock.getsockopt(socket.IPPROTO_TCP, option) for option in (4, 5, 6)]
sock.setsockopt(socket.IPPROTO_TCP, 4, 1000)
held.append(sock.getsockopt(socket.IPPROTO_TCP, 4))
seen[{way!r}] = [type(sock).__module__, held]
sock.close()
"""


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[tuple[str, ...], Any]]:
    """For each order and way: the class's module, and what the kernel held. One process an order."""
    with Origin() as origin:
        children = {order: _child(order, origin) for order in ORDERS}
        try:
            yield {order: _result(child) for order, child in children.items()}
        finally:
            for child in children.values():
                child.kill()
                child.communicate()


def _child(order: tuple[str, ...], origin: Origin) -> subprocess.Popen[str]:
    lines = [START, *(STEPS[step] for step in order)]
    for way, code in WAYS.items():
        lines += [code, LOOK.format(way=way)]
    lines.append("print(json.dumps(seen))")
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines), json.dumps([origin.host, origin.port])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


def _result(child: subprocess.Popen[str]) -> Any:
    printed, said = child.communicate(timeout=100)
    assert child.returncode == 0, said
    return json.loads(printed)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ORDERS[:-2])
def test_in_any_order(order: tuple[str, ...], way: str, seen: dict[tuple[str, ...], Any]) -> None:
    """Whichever class opens it; what the program sets later is judged as well."""
    module, held = seen[order][way]

    assert held == [1, 20, 10, 3, 20]
    patched = "patch" in order and way != "stdlib"
    assert module.startswith("gevent") is (patched or way in ("gevent.socket", "connect_ex"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ORDERS[-2:])
def test_the_control(order: tuple[str, ...], way: str, seen: dict[tuple[str, ...], Any]) -> None:
    """Without install() nothing is set, and what the program sets stays."""
    assert seen[order][way][1] == [0, 7200, 75, 9, 1000]
