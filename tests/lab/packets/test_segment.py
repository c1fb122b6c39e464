"""Segments: golden bytes, made and read again, never out of bounds whatever comes."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keptalive.lab.packets.segment import (
    ACK,
    FIN,
    HOPS,
    PSH,
    RST,
    SYN,
    Segment,
    after,
    decode,
    encode,
    pass_hop,
    reset_for,
    set_port,
)

unhurried = settings(deadline=None)  # a busy machine takes its time

ETHERNET = bytes.fromhex("020000000202 020000000201")


def words(data: bytes) -> int:
    """Add up 16-bit words with end-around carry: 0xFFFF over data with a right checksum (RFC 1071)."""
    total = 0
    for high, low in zip(data[::2], (data + b"\0")[1::2], strict=False):
        total += high << 8 | low
        total = (total & 0xFFFF) + (total >> 16)
    return total


def is_sound(frame: bytes) -> bool:
    """Check the checksums of IPv4 and TCP by plain addition."""
    version = frame[14] >> 4
    start = 14 + (20 if version == 4 else 40)
    addresses = frame[26:34] if version == 4 else frame[22:54]
    pseudo = addresses + (len(frame) - start).to_bytes(4, "big") + bytes([0, 0, 0, socket.IPPROTO_TCP])
    header = version == 6 or words(frame[14:34]) == 0xFFFF
    return header and words(pseudo + frame[start:]) == 0xFFFF


addresses = st.one_of(
    st.tuples(st.just(4), st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(6), st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16)),
)
ports = st.integers(0, 65535)
numbers = st.integers(0, 2**32 - 1)
segments = st.builds(
    lambda ends, *rest: Segment(*ends, *rest, 0),
    addresses,
    ports,
    ports,
    numbers,
    numbers,
    st.integers(0, 63),
)


@unhurried
@given(segments, st.binary(max_size=1500))
def test_what_is_made_is_read_again(segment: Segment, payload: bytes) -> None:
    """With checksums that a kernel takes."""
    frame = encode(segment, payload, ETHERNET, HOPS)

    assert decode(frame) == segment._replace(length=len(payload), start=34 if segment.version == 4 else 54)
    assert decode(memoryview(frame + b"padding")) == decode(frame)
    assert is_sound(frame)


@unhurried
@given(segments, st.binary(max_size=100), ports, st.booleans())
def test_another_port_keeps_the_checksum_right(
    segment: Segment, payload: bytes, port: int, source: bool
) -> None:
    """Whole ones; one that nobody has finished stays as it is."""
    frame = bytearray(encode(segment, payload, ETHERNET, HOPS))
    start = 34 if segment.version == 4 else 54
    unfinished = bytearray(frame)
    set_port(memoryview(frame), start, port, source=source, finished=True)
    set_port(memoryview(unfinished), start, port, source=source, finished=False)
    changed = segment._replace(**{"source_port" if source else "destination_port": port})

    assert decode(frame) == changed._replace(length=len(payload), start=start)
    assert is_sound(bytes(frame))
    assert (
        unfinished[start + 16 : start + 18]
        == encode(segment, payload, ETHERNET, HOPS)[start + 16 : start + 18]
    )
    assert decode(unfinished) == decode(frame)


@unhurried
@given(segments, st.integers(2, 255))
def test_a_hop_keeps_the_checksum_right(segment: Segment, hops: int) -> None:
    """As a router does it."""
    frame = bytearray(encode(segment, b"", ETHERNET, hops))
    pass_hop(memoryview(frame))

    assert frame[22 if segment.version == 4 else 21] == hops - 1
    assert is_sound(bytes(frame))


@unhurried
@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    """Noise is no segment, or one that lies within it."""
    check(data)


@unhurried
@given(segments, st.binary(max_size=60), st.data())
def test_a_broken_segment_is_read_without_an_error(
    segment: Segment, payload: bytes, data: st.DataObject
) -> None:
    """Cut short, or with any byte changed: the header that says how long it is among them."""
    frame = bytearray(encode(segment, payload, ETHERNET, HOPS))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(12, len(frame) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


def check(data: bytes) -> None:
    found = decode(data)
    if found is not None:
        assert found.length >= 0
        assert found.start + 20 + found.length <= len(data)
        assert len(found.source) == len(found.destination) == (4 if found.version == 4 else 16)


FRAME = encode(
    Segment(4, bytes([10, 99, 1, 2]), bytes([10, 99, 2, 2]), 40000, 8080, 1, 0, SYN, 0), b"", ETHERNET, HOPS
)


def changed(**at: int) -> bytes:
    frame = bytearray(FRAME)
    for where, value in at.items():
        frame[int(where[1:])] = value
    return bytes(frame)


@pytest.mark.parametrize(
    ("what", "frame"),
    [
        ("ARP", changed(_12=0x08, _13=0x06)),
        ("UDP", changed(_23=17)),
        ("a first fragment", changed(_20=0x20)),
        ("a later fragment", changed(_20=0x00, _21=0x10)),
        ("IPv6 by its type, IPv4 by its version", changed(_12=0x86, _13=0xDD)),
        ("an IPv4 header of 16 bytes", changed(_14=0x44)),
        ("a TCP header of 16 bytes", changed(_46=0x40)),
        ("a TCP header longer than the packet", changed(_46=0xF0)),
        ("a packet longer than the frame", changed(_17=0x29)),
        ("one byte less", FRAME[:-1]),
        ("nothing", b""),
    ],
)
def test_what_is_no_segment(what: str, frame: bytes) -> None:
    """Each is one byte away from one that is."""
    assert decode(FRAME) is not None
    assert decode(frame) is None


# What a kernel sent in the client's namespace of a lab, read from a packet socket there.
_TO4, _TO6 = "0200000001010200000001020800", "02000000010102000000010286dd"
_FROM4, _FROM6 = "0a6301020a630202", "fd990001000000000000000000000002fd990002000000000000000000000002"
GOLDEN = {
    "SYN": _TO4 + "4500003c27c140004006fb31" + _FROM4 + "901e1f9046e0e9ce00000000a002faf0"
    "17f80000020405b40402080ab37ef6f4000000000103030a",
    "data": _TO4 + "4500004b27c340004006fb20" + _FROM4 + "901e1f9046e0e9cfdc0996688018003f"
    "180700000101080ab37ef6f84f15add6474554202f736c6565702f3920485454502f312e310d0a",
    "probe": _TO4 + "4500003427c440004006fb36" + _FROM4 + "901e1f9046e0e9e5dc0996688010003f"
    "17f000000101080ab37efb004f15add7",
    "FIN": _TO4 + "4500003427c540004006fb35" + _FROM4 + "901e1f9046e0e9e6dc0996688011003f"
    "17f000000101080ab37efcd54f15b1de",
    "SYN, IPv6": _TO6 + "600b6c4200280640" + _FROM6 + "969e1f90a3e593be00000000a002fd20"
    "fb680000020405a00402080a7f72a9bc000000000103030a",
    "data, IPv6": _TO6 + "600b6c4200370640" + _FROM6 + "969e1f90a3e593bffdd7433680180040"
    "fb7700000101080a7f72a9bc72ff9b33474554202f736c6565702f3920485454502f312e310d0a",
}
READ = {  # ports, sequence number, acknowledgement, flags, length
    "SYN": (36894, 8080, 0x46E0E9CE, 0, SYN, 0),
    "data": (36894, 8080, 0x46E0E9CF, 0xDC099668, ACK | PSH, 23),
    "probe": (36894, 8080, 0x46E0E9E5, 0xDC099668, ACK, 0),
    "FIN": (36894, 8080, 0x46E0E9E6, 0xDC099668, ACK | FIN, 0),
    "SYN, IPv6": (38558, 8080, 0xA3E593BE, 0, SYN, 0),
    "data, IPv6": (38558, 8080, 0xA3E593BF, 0xFDD74336, ACK | PSH, 23),
}


@pytest.mark.parametrize("what", GOLDEN)
def test_golden_bytes(what: str) -> None:
    """A connection as a kernel makes it, options and all."""
    version, family, start = (6, socket.AF_INET6, 54) if "IPv6" in what else (4, socket.AF_INET, 34)
    ends = ("fd99:1::2", "fd99:2::2") if version == 6 else ("10.99.1.2", "10.99.2.2")
    addresses = (socket.inet_pton(family, end) for end in ends)

    assert decode(bytes.fromhex(GOLDEN[what])) == Segment(version, *addresses, *READ[what], start)


@pytest.mark.parametrize(
    ("flags", "length", "reset"),
    [
        (ACK, 0, (500, 0, RST)),
        (ACK | 8, 70, (500, 0, RST)),
        (SYN, 0, (0, 101, RST | ACK)),
        (1, 9, (0, 110, RST | ACK)),
    ],
)
def test_the_reset_that_answers(flags: int, length: int, reset: tuple[int, int, int]) -> None:
    """It takes its number from the acknowledgement, or acknowledges what came (RFC 9293, 3.10.7.1)."""
    segment = Segment(4, b"from", b"to..", 1, 2, 100, 500 if flags & ACK else 0, flags, length)

    assert reset_for(segment) == Segment(4, b"to..", b"from", 2, 1, *reset, 0)


@pytest.mark.parametrize(
    ("one", "other", "is_after"),
    [(1, 0, True), (0, 1, False), (5, 5, False), (3, 0xFFFFFFFE, True), (0xFFFFFFFE, 3, False)],
)
def test_numbers_go_around_the_corner(one: int, other: int, is_after: bool) -> None:
    """At 2^32."""
    assert after(one, other) is is_after
