"""Ends: a FIN is an end, a timeout and a reset are not."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from keptalive import Policy
from keptalive.cover import Cover
from keptalive.ends import connection_was_killed
from support import tcp_pair

IP_MINTTL = 21  # with 255, all that comes over loopback (TTL 64) is discarded: the path is dead


def test_a_fin_without_goodbye_is_an_end_even_if_a_reset_follows() -> None:
    """A TLS server that just closes has sent everything: OpenSSL's alert to it is answered by a reset."""
    ca = trustme.CA()
    served, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1").configure_cert(served)
    ca.configure_trust(asking)
    with tcp_pair() as (client, server), ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(served.wrap_socket, server, server_side=True)
        with asking.wrap_socket(client, server_hostname="127.0.0.1") as tls, accepted.result() as other:
            Cover().protect(tls)
            other.sendall(b"done")
            bare = socket.socket(fileno=other.detach())
            bare.shutdown(socket.SHUT_WR)
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            bare.close()

            assert tls.recv(9) == b"done"
            assert tls.recv(9) == b""


def test_a_killed_connection_is_told_from_a_closed_one() -> None:
    """Unanswered probes and a reset kill; the peer's FIN does not, nor a FIN with a reset after it."""
    with tcp_pair() as (client, server):
        assert not connection_was_killed(client)
        server.close()
        assert client.recv(1) == b""
        assert not connection_was_killed(client)
    with tcp_pair() as (client, server):  # a server that says it is done before it has read everything
        client.sendall(b"more than it wants")
        server.sendall(b"done")
        server.shutdown(socket.SHUT_WR)
        server.close()
        while client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x07":
            pass  # the reset is under way
        assert client.recv(9) + client.recv(9) == b"done"
        assert not connection_was_killed(client)
    with tcp_pair() as (client, server):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert connection_was_killed(client)
    with tcp_pair() as (client, _):
        Cover(Policy(1, 1, 1)).protect(client)
        client.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)
        client.settimeout(30)
        with pytest.raises(TimeoutError) as caught:
            client.recv(1)

        assert caught.value.errno == errno.ETIMEDOUT
        assert connection_was_killed(client)
