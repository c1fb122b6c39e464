"""What a segment is, seen against what has passed before."""

from __future__ import annotations

import math

import pytest

from keptalive.lab.packets.flow import CLIENT, SERVER, Flow
from lab.packets.world import World

# what is sent after a request of 100 bytes that the server acknowledged -> its name
NAMES = [
    (CLIENT, "A", 0, 99, 0, "probe"),  # as Linux sends it
    (CLIENT, "A", 1, 99, 0, "probe"),  # with a byte of garbage, as others do
    (CLIENT, "A", 0, 100, 0, "ACK"),
    (CLIENT, "A", 2, 99, 0, "data"),
    (CLIENT, "A", 0, 98, 0, "ACK"),
    (CLIENT, "PA", 10, 100, 0, "data"),
    (CLIENT, "FA", 0, 99, 0, "FIN"),
    (CLIENT, "R", 0, 99, 0, "RST"),
    (CLIENT, "S", 0, 0, 0, "SYN"),
    (SERVER, "A", 0, -1, 100, "probe"),
    (SERVER, "A", 0, 0, 100, "ACK"),
    (SERVER, "SA", 0, 0, 0, "SYN-ACK"),
]


def the_flow(world: World) -> Flow:
    (flow,) = world.firewall._flows[CLIENT].values()
    return flow


@pytest.mark.parametrize(("side", "flags", "length", "seq", "ack", "name"), NAMES)
def test_a_segment_is_named(side: int, flags: str, length: int, seq: int, ack: int, name: str) -> None:
    """A probe repeats the last number, asks for nothing else, and nothing is on the way."""
    world = World("loss:5%")
    world.ask()

    assert the_flow(world).what(side, world.segment(side, flags, length, seq, ack)) == name


def test_a_lost_byte_that_is_sent_again_is_no_probe() -> None:
    """It has the shape of one, but the other side has not acknowledged it."""
    world = World("loss:5%")
    world.ask()
    world.send(CLIENT, "PA", 1, seq=100)
    again = world.segment(CLIENT, "PA", 1, seq=100)

    assert the_flow(world).what(CLIENT, again) == "data"
    world.send(SERVER, "A", ack=101)
    assert the_flow(world).what(CLIENT, again) == "probe"


def test_an_acknowledgement_after_a_probe_is_its_answer_once() -> None:
    """And of the other side's probe alone."""
    world = World("loss:5%")
    world.ask()
    world.probe()
    flow = the_flow(world)

    assert flow.what(SERVER, world.segment(SERVER, "A", ack=100)) == "answer"
    assert flow.what(CLIENT, world.segment(CLIENT, "A", seq=100)) == "ACK"
    world.answer()
    assert flow.what(SERVER, world.segment(SERVER, "A", ack=100)) == "ACK"
    assert world.kinds() == ["probe", "answer"]


def test_a_flow_is_over_when_both_fins_are_acknowledged_or_by_an_rst() -> None:
    """Not before."""
    world = World("loss:5%")
    world.ask()
    flow = the_flow(world)
    for side, flags, seq, ack in [(CLIENT, "FA", 100, 0), (SERVER, "A", 0, 101), (SERVER, "FA", 0, 101)]:
        world.send(side, flags, seq=seq, ack=ack)
        assert not flow.over
    world.send(CLIENT, "A", seq=101, ack=1)
    assert flow.over

    other = World("loss:5%")
    other.ask()
    flow = the_flow(other)
    other.send(SERVER, "R")
    assert flow.over


def test_only_new_bytes_count_as_bytes() -> None:
    """Neither a probe's garbage nor what is sent again; an answer ends the wait for one."""
    world = World("loss:5%")
    world.ask()
    flow, asked = the_flow(world), world.now
    world.wait(1)
    world.send(CLIENT, "A", 1, seq=99)
    world.send(CLIENT, "PA", 100, seq=0)

    assert flow.with_bytes == flow.waiting_since == asked
    world.send(SERVER, "PA", 50, ack=100)
    assert (flow.with_bytes, flow.waiting_since) == (world.now, math.inf)
