"""struct tcp_info: golden bytes, every length, and a live socket."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptalive import tcp_info
from keptalive.sockets import read_tcp_info
from keptalive.tcp_states import STATES
from support import tcp_pair

# Built by the layout of linux/tcp.h: 8 bytes of flags, then 32-bit and 64-bit fields.
GOLDEN = bytearray(232)
struct.pack_into("=BBBBB", GOLDEN, 0, 8, 0, 2, 3, 4)
struct.pack_into("=I", GOLDEN, 8, 204000)
struct.pack_into("=I", GOLDEN, 24, 5)
struct.pack_into("=III", GOLDEN, 44, 1500, 0, 2500)
struct.pack_into("=I", GOLDEN, 56, 3500)
struct.pack_into("=I", GOLDEN, 68, 12000)
struct.pack_into("=I", GOLDEN, 100, 7)
struct.pack_into("=QQ", GOLDEN, 120, 2**40, 99)
struct.pack_into("=III", GOLDEN, 136, 21, 22, 23)


def test_golden_bytes() -> None:
    """Each field from its place, times in seconds."""
    assert tcp_info.parse(bytes(GOLDEN)) == tcp_info.TcpInfo(
        state="CLOSE-WAIT",
        retransmits=2,
        probes=3,
        backoff=4,
        rto=pytest.approx(0.204),  # type: ignore[arg-type]
        unacked=5,
        lost=0,
        last_data_sent=1.5,
        last_data_recv=2.5,
        last_ack_recv=3.5,
        rtt=pytest.approx(0.012),  # type: ignore[arg-type]
        total_retrans=7,
        bytes_acked=2**40,
        bytes_received=99,
        segs_out=21,
        segs_in=22,
        notsent_bytes=23,
    )


def test_an_older_kernel_sends_less() -> None:
    """Fields beyond the end are None, never zero."""
    info = tcp_info.parse(bytes(GOLDEN[:104]))

    assert info.total_retrans == 7
    assert info.bytes_acked is None
    assert info.segs_in is None


@given(st.binary(max_size=300))
def test_any_bytes_decode(data: bytes) -> None:
    """No length and no content is an error."""
    info = tcp_info.parse(data)

    assert info.state in STATES


def test_a_live_socket() -> None:
    """What went over the wire is what the decoder says."""
    with tcp_pair() as (client, server):
        client.sendall(b"x" * 1000)
        assert server.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
        info = read_tcp_info(server)

        assert info is not None
        assert info.state == "ESTABLISHED"
        assert info.bytes_received == 1000
        assert info.segs_in >= 2  # the handshake's last and the data
        server.close()
        assert client.recv(1) == b""
        assert read_tcp_info(client).state == "CLOSE-WAIT"  # type: ignore[union-attr]
