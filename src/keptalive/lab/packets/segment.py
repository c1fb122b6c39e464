"""TCP segments in Ethernet frames: read, made, and given another port.

Rule: whatever bytes come, decode() returns a segment that lies within them, or None; nothing is raised.
Layouts: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP). Fragments and IPv6 extension headers, which the
lab's own links never carry, are no segments here.
"""

from __future__ import annotations

import socket
from struct import Struct
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_ETHERNET = 14  # bytes
_IPV4_TYPE, _IPV6_TYPE = 0x0800, 0x86DD
_IPV4 = Struct(">BxHxxHxB2x4s4s")  # version and length, total length, fragment, protocol, addresses
_IPV6 = Struct(">4xHBx16s16s")  # payload length, next header, addresses
_TCP = Struct(">HHIIBB")  # ports, sequence number, acknowledgement, data offset, flags
_MASK = 0xFFFFFFFF

_WINDOW = 65535  # of a crafted segment: never full
#: How many hops a packet may make, as Linux sends it.
HOPS = 64


class Segment(NamedTuple):
    """One segment."""

    version: int  # 4 or 6
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    sequence: int
    acknowledged: int
    flags: int
    length: int  # bytes of payload
    start: int = 0  # where in the frame its TCP header is

    @property
    def end(self) -> int:
        """The sequence number after it: SYN and FIN take one each."""
        return (self.sequence + self.length + bool(self.flags & SYN) + bool(self.flags & FIN)) & _MASK


def decode(frame: bytes | memoryview) -> Segment | None:
    """Return the TCP segment in an Ethernet frame; None for anything else, and for what is cut short."""
    size = len(frame)
    if size < _ETHERNET + 40:  # IPv4's and TCP's headers
        return None
    kind = frame[12] << 8 | frame[13]
    if kind == _IPV4_TYPE:
        first, total, fragment, protocol, source, destination = _IPV4.unpack_from(frame, _ETHERNET)
        header = (first & 0x0F) * 4
        # 0x3FFF: more fragments to come, or an offset
        if first >> 4 != 4 or header < 20 or fragment & 0x3FFF or protocol != socket.IPPROTO_TCP:
            return None
        start, end = _ETHERNET + header, _ETHERNET + total
    elif kind == _IPV6_TYPE and size >= _ETHERNET + 60 and frame[_ETHERNET] >> 4 == 6:
        total, protocol, source, destination = _IPV6.unpack_from(frame, _ETHERNET)
        if protocol != socket.IPPROTO_TCP:
            return None
        start, end = _ETHERNET + 40, _ETHERNET + 40 + total
    else:
        return None
    if not start + 20 <= end <= size:
        return None
    source_port, destination_port, sequence, acknowledged, offset, flags = _TCP.unpack_from(frame, start)
    payload = start + (offset >> 4) * 4
    if not start + 20 <= payload <= end:
        return None
    version = 4 if kind == _IPV4_TYPE else 6
    ports = source_port, destination_port
    return Segment(
        version, source, destination, *ports, sequence, acknowledged, flags & 0x3F, end - payload, start
    )


def encode(segment: Segment, payload: bytes, ethernet: bytes, hops: int) -> bytes:
    """Return the frame of a segment with this payload; *ethernet* is both link-layer addresses."""
    tcp = bytearray(20)
    ports = segment.source_port, segment.destination_port
    _TCP.pack_into(tcp, 0, *ports, segment.sequence, segment.acknowledged, 5 << 4, segment.flags)
    tcp[14:16] = _WINDOW.to_bytes(2, "big")
    size = len(tcp) + len(payload)
    addresses = segment.source + segment.destination
    pseudo = addresses + size.to_bytes(4, "big") + socket.IPPROTO_TCP.to_bytes(4, "big")
    tcp[16:18] = _checksum(pseudo + tcp + payload).to_bytes(2, "big")
    if segment.version == 6:
        kind = _IPV6_TYPE
        header = bytes([0x60, 0, 0, 0]) + size.to_bytes(2, "big") + bytes([socket.IPPROTO_TCP, hops])
        header += addresses
    else:
        kind = _IPV4_TYPE
        # 0x45: version 4, five words of header; 0x4000: don't fragment
        start = bytes([0x45, 0]) + (20 + size).to_bytes(2, "big") + bytes([0, 0, 0x40, 0])
        start += bytes([hops, socket.IPPROTO_TCP])
        header = start + _checksum(start + addresses).to_bytes(2, "big") + addresses
    return ethernet + kind.to_bytes(2, "big") + header + bytes(tcp) + payload


def set_port(frame: memoryview, start: int, port: int, *, source: bool, finished: bool) -> None:
    """Give the segment whose TCP header is at *start* another source or destination port.

    finished: its checksum is whole, and changes with the port (RFC 1624). Else it is that of the
    addresses alone, and whoever sends the packet on to a wire completes it.
    """
    at = start if source else start + 2
    before = frame[at] << 8 | frame[at + 1]
    frame[at : at + 2] = port.to_bytes(2, "big")
    if finished:
        was = frame[start + 16] << 8 | frame[start + 17]
        total = (~was & 0xFFFF) + (~before & 0xFFFF) + port
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        frame[start + 16 : start + 18] = (~total & 0xFFFF).to_bytes(2, "big")


def pass_hop(frame: memoryview) -> None:
    """Take one from the hops that a packet may make, as every router does; it has some left."""
    if frame[12] << 8 | frame[13] == _IPV6_TYPE:
        frame[_ETHERNET + 7] -= 1
        return
    frame[_ETHERNET + 8] -= 1
    # The header's checksum rises by what its word with the hops falls: by 0x0100 (RFC 1141).
    total = (frame[_ETHERNET + 10] << 8 | frame[_ETHERNET + 11]) + 0x0100
    frame[_ETHERNET + 10 : _ETHERNET + 12] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")


def reset_for(segment: Segment) -> Segment:
    """Return the RST that answers a segment of no known connection (RFC 9293, 3.10.7.1)."""
    if segment.flags & ACK:
        return reply(segment, segment.acknowledged, 0, RST)
    return reply(segment, 0, segment.end, RST | ACK)


def reply(segment: Segment, sequence: int, acknowledged: int, flags: int) -> Segment:
    """Return a segment back to where this one came from."""
    return Segment(
        segment.version,
        segment.destination,
        segment.source,
        segment.destination_port,
        segment.source_port,
        sequence,
        acknowledged,
        flags,
        0,
    )


def after(one: int, other: int) -> bool:
    """Tell whether sequence number *one* comes after *other*, around the corner of 2^32 too."""
    return 0 < (one - other) & _MASK < 1 << 31


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    # The words' sum modulo 65535 is that of the number they make: 65536 leaves 1.
    total = int.from_bytes(data, "big") % 0xFFFF
    # A sum of nothing but zeros is zero; any other multiple of 65535 is written 0xFFFF.
    return ~(total or (0xFFFF if any(data) else 0)) & 0xFFFF
