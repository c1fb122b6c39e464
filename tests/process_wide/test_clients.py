"""Every client of the matrix under install(), imported before and after it, read back from live sockets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from matrix import harness, witness
from matrix.drivers import CLIENTS, driver

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="the witness reads /proc"),
]

#: The one library that sets keepalive itself, after its connections are made.
THEIR_OWN = {"anthropic": "60:60:5", "anthropic-async": "60:60:5"}
#: What a process does first, and the policy that it installs: explicit, or the default.
ORDERS = {"install": "20:10:3", "import": None}
DEFAULT = "45:15:9"
#: How long an answer takes, all at once: enough to be looked at while forty threads import their libraries.
DELAY = 5.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What each order saw of all clients; the two children run side by side."""
    folder = tmp_path_factory.mktemp("install")
    host = "127.0.0.1"
    ground = harness.Ground(subprocess.Popen, subprocess.Popen, host)
    ca_file = harness.certificates(folder, host)
    clients = [client for client in CLIENTS if all(map(find_spec, driver(client).needs))]
    with harness._server(ground, folder / "server.pem", DELAY) as control:
        common = {"clients": clients, "host": host, "control": control, "ca_file": ca_file}
        children = {
            first: subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "process_wide.child",
                    json.dumps({**common, "first": first, "policy": policy}),
                ],
                env=harness.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for first, policy in ORDERS.items()
        }
        try:
            yield {first: _results(child) for first, child in children.items()}
        finally:
            for child in children.values():
                child.kill()
                child.communicate()


def _results(child: subprocess.Popen[str]) -> dict[str, Any]:
    printed, said = child.communicate(timeout=200)
    if child.returncode:
        pytest.fail(f"the child failed:\n{said}")
    results: dict[str, Any] = json.loads(printed)
    return results


@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_connection_of_every_client(client: str, first: str, seen: dict[str, Any]) -> None:
    """Under install() the kernel holds the policy; without it, in the same process, it does not."""
    for library in driver(client).needs:
        pytest.importorskip(library)
    installed, control = (seen[first][what][client] for what in ("installed", "control"))
    wanted = witness.wanted(ORDERS[first] or DEFAULT)

    assert (installed["error"], control["error"]) == (None, None)
    assert installed["options"] == [wanted]
    (plain,) = control["options"]
    if client in THEIR_OWN:
        assert plain == witness.wanted(THEIR_OWN[client])
    else:
        assert plain["enabled"] == 0
