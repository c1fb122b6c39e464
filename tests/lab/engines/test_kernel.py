"""What only the kernel engine can show: real connection tracking."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab
from keptalive.lab.engines.kernel import KernelLab
from keptalive.lab.faults import parse
from lab.scenario import PATIENCE
from support import missing

pytestmark = pytest.mark.lab


@pytest.fixture
def lab(kernel_refusal: str | None) -> Iterator[Lab]:
    """Open a kernel lab."""
    if kernel_refusal:
        missing(kernel_refusal)
    with open_lab("idle-drop:600", "kernel") as opened:
        yield opened


def test_a_command_sees_the_clients_namespace_alone(lab: Lab) -> None:
    """Its own addresses, and no other interface than loopback and the one to the firewall."""
    code = "import socket; print(*(name for _, name in socket.if_nameindex()))"
    with lab.popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as command:
        assert command.communicate(timeout=PATIENCE)[0].split() == ["lo", "firewall"]


def test_a_command_that_does_not_exist_ends_like_in_a_shell(lab: Lab) -> None:
    """With 127 and a message: it is looked for inside."""
    with lab.popen(["/no/such/command"], stderr=subprocess.PIPE, text=True) as command:
        said = command.communicate(timeout=PATIENCE)[1]
        assert said == "keptalive: cannot run /no/such/command: No such file or directory\n"
        assert command.returncode == 127


def test_the_servers_side_cannot_connect_to_the_clients(lab: Lab) -> None:
    """The firewall lets connections through in one direction."""
    code = "import socket; socket.create_connection(('10.99.1.2', 9), 1)"
    with lab.popen_server([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as command:
        assert "TimeoutError" in command.communicate(timeout=PATIENCE)[1]


def test_a_closed_port_of_the_server_refuses(lab: Lab) -> None:
    """An RST that belongs to a known flow passes."""
    with lab.client_socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.settimeout(PATIENCE)
        sock.connect(lab.reach(9))


def test_client_sockets_are_closed_on_exec(lab: Lab) -> None:
    """As those that Python makes itself."""
    with lab.client_socket() as sock:
        assert not sock.get_inheritable()


def test_part_of_a_second_is_refused_before_anything_is_started() -> None:
    """The relay can do it."""
    with pytest.raises(LabError, match="whole seconds"):
        KernelLab(parse("idle-drop:2.5"))
    children = Path("/proc/self/task").glob("*/children")
    assert "keptalive.lab" not in " ".join(
        Path(f"/proc/{pid}/cmdline").read_text() for file in children for pid in file.read_text().split()
    )
