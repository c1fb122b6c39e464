"""`keptalive lab relay` as its user runs it: between a program and a server, ended by a signal."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest
import trustme

from keptalive.cli.exits import Exit
from support import clean_environment

PATIENCE = 40


@contextlib.contextmanager
def relaying(*arguments: str, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "keptalive", "lab", "relay", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> tuple[str, int]:
    assert process.stdout is not None
    found = re.fullmatch(r"listening on (\[.*\]|[\d.]+):(\d+)\n", process.stdout.readline())
    assert found
    return found[1].strip("[]"), int(found[2])


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_relay_log_end(server: socket.socket, number: signal.Signals) -> None:
    """It says at once where, on loopback; passes bytes; tells of the expiry; ends with an RST to all."""
    with relaying(
        "--to", f"127.0.0.1:{server.getsockname()[1]}", "--fault", "idle-drop:30", "--speed", "30"
    ) as process:
        address = address_of(process)
        assert address[0] == "127.0.0.1"
        assert process.stderr is not None
        assert "idle-drop:1 before 127.0.0.1:" in process.stderr.readline()
        with socket.create_connection(address, PATIENCE) as client:
            peer, _ = server.accept()
            client.sendall(b"hello")
            assert peer.recv(10) == b"hello"
            line = process.stderr.readline()
            assert re.match(
                r"\d\d:\d\d:\d\d\.\d{3} expired   127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+: idle for 1", line
            )
            process.send_signal(number)
            assert process.wait(PATIENCE) == Exit.OK
            assert process.stderr.read() == ""
            peer.settimeout(PATIENCE)
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
            peer.close()


def test_for_programs(server: socket.socket) -> None:
    """One JSON object a line: where it listens, and each event."""
    to = f"localhost:{server.getsockname()[1]}"
    with relaying("--to", to, "--fault", "idle-close:1", "--json") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        host, _, port = first["listening"].rpartition(":")
        assert (first["schema"], first["to"], first["faults"]) == (1, to, ["idle-close:1"])
        with socket.create_connection((host, int(port)), PATIENCE) as client:
            assert client.recv(1) == b""
        events = [json.loads(process.stdout.readline()) for _ in range(2)]

        assert [event["event"] for event in events] == ["expired", "closed"]
        assert events[0]["time"] > 1.7e9  # seconds since 1970


def test_a_server_that_refuses_is_told_of() -> None:
    """The client gets an RST as from the server; who runs the relay reads why, and at its start already."""
    with (
        socket.socket() as closed,  # bound, so that nobody else gets the port; nobody listens
        contextlib.ExitStack() as running,
    ):
        closed.bind(("127.0.0.1", 0))
        to = f"127.0.0.1:{closed.getsockname()[1]}"
        process = running.enter_context(relaying("--to", to))
        programs = running.enter_context(relaying("--to", to, "--json"))
        assert process.stderr is not None
        assert programs.stdout is not None
        process.stderr.readline()
        warned = process.stderr.readline()
        host, _, port = json.loads(programs.stdout.readline())["listening"].rpartition(":")
        warning = json.loads(programs.stdout.readline())
        for address in (address_of(process), (host, int(port))):
            with pytest.raises(ConnectionResetError), socket.create_connection(address, PATIENCE) as client:
                client.recv(1)
        line, event = process.stderr.readline(), json.loads(programs.stdout.readline())

    nobody = f"{to}: nothing on this machine listens there now"
    assert re.search(rf"^\d\d:\d\d:\d\d\.\d{{3}} unreached {re.escape(nobody)}\n$", warned)
    assert (warning["event"], warning["detail"]) == ("unreached", nobody)
    assert re.search(rf" unreached 127\.0\.0\.1:\d+ > {to}: Connection refused\n$", line)
    assert event["event"] == "unreached"
    assert event["detail"].endswith(f"> {to}: Connection refused")


def test_ipv6_in_front_of_ipv4(server: socket.socket) -> None:
    """An IPv6 address stands in brackets."""
    with relaying("--to", f"localhost:{server.getsockname()[1]}", "--listen", "[::1]:0") as process:
        address = address_of(process)
        assert address[0] == "::1"
        with socket.create_connection(address, PATIENCE) as client:
            peer, _ = server.accept()
            peer.sendall(b"through")
            assert client.recv(10) == b"through"
            peer.close()


def test_tls_passes_untouched(server: socket.socket) -> None:
    """The client checks the certificate of the server's own name, wherever it connects."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def serve() -> None:
        peer, _ = server.accept()
        with context.wrap_socket(peer, server_side=True) as tls:
            tls.sendall(tls.recv(10).upper())

    thread = threading.Thread(target=serve)
    thread.start()
    with relaying("--to", f"127.0.0.1:{server.getsockname()[1]}") as process:
        client = socket.create_connection(address_of(process), PATIENCE)
        with trusting.wrap_socket(client, server_hostname="api.example") as tls:
            tls.sendall(b"hello")
            assert tls.recv(10) == b"HELLO"
        thread.join()


def test_who_comes_when_no_descriptor_is_left_waits(server: socket.socket) -> None:
    """It goes on, says why, and takes them when others have gone."""
    limited = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh"]
    with relaying("--to", f"127.0.0.1:{server.getsockname()[1]}", before=limited) as process:
        address = address_of(process)
        clients = [socket.create_connection(address, PATIENCE) for _ in range(30)]
        assert process.stderr is not None
        lines = (process.stderr.readline() for _ in range(2))
        assert any("full      no descriptor left" in line for line in lines)
        for client in clients[:-1]:
            client.close()
        clients[-1].sendall(b"late")
        found = b""
        while not found:
            peer, _ = server.accept()
            peer.settimeout(PATIENCE)
            found = peer.recv(10)
            peer.close()
        assert found == b"late"
        clients[-1].close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: --to"),
        (["--to", "127.0.0.1"], "is not HOST:PORT"),
        (["--to", "nothing.invalid:80"], "there is no host"),
        (["--to", "127.0.0.1:0"], "not a port to relay to"),
        (["--to", "127.0.0.1:9", "--listen", "192.0.2.1:0"], "cannot listen at 192.0.2.1:0"),
        (["--to", "127.0.0.1:9", "--listen", "8080"], "is not HOST:PORT"),
        (["--to", "127.0.0.1:9", "--fault", "fire"], "there is no fault 'fire'"),
        (["--to", "127.0.0.1:9", "--fault", "loss:5%"], "loss is for the packet engine"),
        (["--to", "127.0.0.1:9", "--speed", "0"], "a speed is a number above zero"),
    ],
)
def test_bad_input(arguments: list[str], message: str) -> None:
    """One sentence and exit code 2; before anything listens."""
    with relaying(*arguments) as process:
        out, complaint = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out) == (Exit.USAGE, "")
    assert message in complaint
    assert "Traceback" not in complaint
