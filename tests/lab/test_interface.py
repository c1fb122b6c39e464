"""What every lab offers, on each engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keptalive.errors import LabError
from keptalive.lab import Lab, open_lab
from keptalive.linux.becoming import exit_status
from lab.scenario import PATIENCE, ask, state

PRINT_SELF = """
import os, urllib.request
url = os.environ["KEPTALIVE_LAB_URL"]
answer = urllib.request.urlopen(url + "/sleep/0").read()
print(os.stat("/proc/self/ns/net").st_ino, os.getuid(), url, os.environ["MINE"], answer, sep="\\n")
"""
ECHO = """
import socket, sys
with socket.create_server(("", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    peer, _ = listener.accept()
    while data := peer.recv(65536):
        peer.sendall(data.upper())
"""
#: An environment to which Python would add LC_CTYPE (PEP 538).
PLAIN = {"PATH": os.defpath, "LANG": "C"}


def test_client_sockets_reach_the_slow_server(lab: Lab) -> None:
    """Over IPv4 and IPv6, from the test's own process."""
    for family in (socket.AF_INET, socket.AF_INET6) if lab.host6 else (socket.AF_INET,):
        with lab.client_socket(family) as sock:
            sock.settimeout(PATIENCE)
            ask(lab, sock, "/sleep/0")
            assert sock.recv(4096).endswith(b"slept 0\n")
    assert lab.url == f"http://{lab.host}:{lab.port}"


def test_commands_run_on_the_client_side_as_the_caller(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the same user, with the slow server's URL in the environment and the caller's own variables."""
    monkeypatch.setenv("MINE", "kept")
    with lab.popen([sys.executable, "-c", PRINT_SELF], stdout=subprocess.PIPE, text=True) as command:
        network, uid, url, mine, answer = command.communicate(timeout=PATIENCE)[0].splitlines()

    assert (int(uid), url, mine, answer) == (os.getuid(), lab.url, "kept", r"b'slept 0\n'")
    assert (int(network) == Path("/proc/self/ns/net").stat().st_ino) is (lab.engine == "relay")


def test_the_shell_and_descriptors_and_exit_codes_work_as_with_popen(lab: Lab) -> None:
    """popen takes what subprocess.Popen takes."""
    reading, writing = os.pipe()
    with lab.popen(f"echo through >/dev/fd/{writing}; exit 3", shell=True, pass_fds=[writing]) as command:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == b"through\n"
        assert command.wait(PATIENCE) == 3


def test_commands_start_as_with_popen(lab: Lab) -> None:
    """With the signals that any program starts with, and nothing of the lab's own in the environment."""
    look = ["sh", "-c", "grep Sig[BIC] /proc/self/status; env"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True}
    with lab.popen(look, env=PLAIN, **options) as inside:
        seen = inside.communicate(timeout=PATIENCE)[0]
    with subprocess.Popen(look, env={**PLAIN, "KEPTALIVE_LAB_URL": lab.url}, **options) as outside:
        assert seen == outside.communicate(timeout=PATIENCE)[0]


@pytest.mark.parametrize(
    ("name", "status"), [("/no/such/program", 127), ("/dev/null/program", 127), ("/dev/null", 126)]
)
def test_commands_that_cannot_be_run(lab: Lab, name: str, status: int) -> None:
    """Popen's error, or what a shell returns."""
    try:
        with lab.popen([name], stderr=subprocess.PIPE, text=True) as command:
            _, said = command.communicate(timeout=PATIENCE)
    except OSError as error:
        assert exit_status(error) == status
    else:
        assert said.startswith(f"keptalive: cannot run {name}: ")
        assert command.returncode == status


def test_two_commands_on_the_servers_side_are_reached_through_the_firewall(lab: Lab) -> None:
    """reach() gives the address; the same each time."""
    server = lab.popen_server([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server:
        port = int(server.stdout.readline())
        assert lab.reach(port) == lab.reach(port)
        with lab.client_socket() as sock:
            sock.settimeout(PATIENCE)
            sock.connect(lab.reach(port))
            sock.sendall(b"hello")
            assert sock.recv(100) == b"HELLO"
        assert server.wait(PATIENCE) == 0


def test_tls_is_trusted_by_the_labs_own_ca_and_no_other(lab: Lab) -> None:
    """The slow server over TLS, by address; made when first asked for."""
    pytest.importorskip("trustme")
    trusting = ssl.create_default_context(cafile=lab.ca_file)
    assert lab.tls_url == f"https://{lab.host}:{lab.tls_port}"
    with lab.client_socket() as raw:
        raw.settimeout(PATIENCE)
        raw.connect((lab.host, lab.tls_port))
        with trusting.wrap_socket(raw, server_hostname=lab.host) as sock:
            sock.sendall(b"GET /sleep/0 HTTP/1.1\r\nHost: lab\r\n\r\n")
            assert sock.recv(4096).endswith(b"slept 0\n")
    with lab.client_socket() as raw:
        raw.settimeout(PATIENCE)
        raw.connect((lab.host, lab.tls_port))
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(raw, server_hostname=lab.host)
    ca_file = lab.ca_file
    lab.close()

    assert not Path(ca_file).parent.exists()


def test_tls_without_trustme_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the lab works without."""
    (tmp_path / "trustme.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    with open_lab("idle-drop:60", "relay") as lab, pytest.raises(LabError, match="pip install trustme"):
        _ = lab.tls_url


def test_every_flow_can_be_forgotten_at_once(lab: Lab) -> None:
    """expire_now(): silence on what is open, in both directions; new connections pass."""
    with lab.client_socket() as old, lab.client_socket() as new:
        old.settimeout(2)
        ask(lab, old, "/sleep/1")
        lab.expire_now()
        with pytest.raises(TimeoutError):
            old.recv(4096)
        assert state(old) == 1  # ESTABLISHED still: no FIN, no RST
        new.settimeout(PATIENCE)
        ask(lab, new, "/sleep/0")
        assert new.recv(4096).endswith(b"slept 0\n")
        expired = [event.detail for event in lab.events if event.kind == "expired"]

        assert len(expired) == (0 if lab.engine == "kernel" else 1)
        assert all(detail.endswith(": expire_now() was called") for detail in expired)


def test_a_lab_may_be_used_from_many_threads(lab: Lab) -> None:
    """Twenty threads ask for sockets and requests at once."""
    answers: list[bytes] = []

    def work() -> None:
        with lab.client_socket() as sock:
            sock.settimeout(PATIENCE)
            ask(lab, sock, "/sleep/0.1?key=threads")
            answers.append(sock.recv(4096)[-10:])

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [b"slept 0.1\n"] * 20
    assert lab.count("threads") == {"GET": 20}


def test_closing_kills_commands_and_the_second_close_does_nothing(lab: Lab) -> None:
    """Nothing of a lab outlives it."""
    command = lab.popen(["sleep", "600"])
    lab.close()
    lab.close()

    assert command.returncode == -signal.SIGKILL
    with pytest.raises(LabError, match="gone: open a new lab"):
        lab.expire_now()


def test_two_labs_do_not_meet(engine: str) -> None:
    """Each has its own server and its own flows."""
    with open_lab("idle-drop:60", engine) as one, open_lab("idle-drop:60", engine) as other:
        for lab in (one, other):
            with closing(lab.client_socket()) as sock:
                sock.settimeout(PATIENCE)
                ask(lab, sock, "/sleep/0?key=mine")
                assert sock.recv(4096)
        assert one.count("mine") == other.count("mine") == {"GET": 1}
        assert json.dumps(one.count("nobody's")) == "{}"
