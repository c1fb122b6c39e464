"""The firewall's decisions: each fault, packet by packet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keptalive.lab.packets.flow import CLIENT, SERVER
from keptalive.lab.packets.segment import HOPS
from lab.packets.world import CLIENT_PORT, World

# Faults that let a flow be which shows a sign of life in time, and what becomes of one that does not:
# does the client's probe pass, does the server's late answer, what does the firewall itself send to each?
EXPIRING = {
    "idle-drop:5": (False, False, "", ""),
    "probes-filtered:5": (False, False, "", ""),
    "idle-reset:5": (False, False, "R", "R"),
    "nat-rebind:5": (True, False, "", "R"),
    "one-way:client:5": (False, True, "", ""),
    "one-way:server:5": (True, False, "", ""),
}


@pytest.mark.parametrize("fault", EXPIRING)
def test_a_flow_that_was_idle_for_too_long(fault: str) -> None:
    """What comes later passes or not, and its sender is told or not."""
    probe_passes, answer_passes, to_client, to_server = EXPIRING[fault]
    world = World(fault)
    world.ask()
    world.wait(4.9)
    assert world.kinds() == []
    world.wait(0.2)
    assert world.kinds() == ["expired"]
    assert world.send(CLIENT, "PA", 10, seq=100) is probe_passes
    assert [sent[1] for sent in world.sent() if sent[0] == CLIENT] == list(to_client)

    world = World(fault)
    world.ask()
    world.wait(5.1)
    assert world.send(SERVER, "PA", 10, ack=100) is answer_passes
    assert [sent[1] for sent in world.sent() if sent[0] == SERVER] == list(to_server)


@pytest.mark.parametrize("fault", [*EXPIRING, "idle-reset-both:5", "loss:1%"])
def test_whatever_a_fault_does_to_idle_flows_it_lets_the_others_be(fault: str) -> None:
    """The same flow with bytes from both sides every four seconds."""
    world = World(fault)
    world.ask()
    for turn in range(5):
        world.wait(4)
        assert world.send(CLIENT, "PA", 10, seq=100 + 10 * turn, ack=10 * turn)
        assert world.send(SERVER, "PA", 10, seq=10 * turn, ack=110 + 10 * turn)

    assert world.kinds() == []
    assert world.sent() == []


@pytest.mark.parametrize(
    ("fault", "outlives"),
    [("idle-drop:5", True), ("idle-reset-both:5", True), ("one-way:server:5", True), ("idle-close:5", False),
     ("gateway-timeout:5", False), ("probes-filtered:5", False)],
)  # fmt: skip
def test_probes_keep_alive_what_counts_packets(fault: str, outlives: bool) -> None:
    """A proxy counts bytes; who filters probes never sees one."""
    world = World(fault)
    world.ask()
    for _ in range(3):
        world.wait(3)
        world.answer() if world.probe() else None

    assert ("expired" not in world.kinds()) is outlives
    assert world.send(SERVER, "PA", 10, ack=100) is outlives


def test_only_the_named_sides_packets_keep_its_way_alive() -> None:
    """one-way:client: what the server sends does not."""
    world = World("one-way:client:5")
    world.ask()
    for _ in range(3):
        world.wait(2)
        assert world.send(SERVER, "A", ack=100)
    assert not world.send(CLIENT, "A", seq=100)
    assert world.send(SERVER, "PA", 5, ack=100)

    assert world.details()[-2].endswith(": ACK: the flow was forgotten in this direction")


def test_both_ends_get_an_rst_that_they_take() -> None:
    """With the very number that each expects next (RFC 5961)."""
    world = World("idle-reset-both:5")
    world.ask()
    world.wait(5)

    assert world.sent() == [(CLIENT, "AR", 0, 100), (SERVER, "AR", 100, 0)]
    assert world.kinds() == ["expired", "reset", "reset"]
    assert not world.probe()


def test_a_proxy_closes_and_goes_on_as_its_kernel_would() -> None:
    """FINs to both; a FIN or a probe is acknowledged, new bytes get an RST."""
    world = World("idle-close:5")
    world.ask()
    world.wait(5)
    assert world.sent() == [(CLIENT, "AF", 0, 100), (SERVER, "AF", 100, 0)]
    assert not world.send(CLIENT, "A", seq=100, ack=1)  # the client's kernel has the FIN
    assert world.sent() == []
    assert not world.send(CLIENT, "A", seq=99, ack=1)  # its probe
    assert world.sent() == [(CLIENT, "A", 1, 100)]
    assert not world.send(CLIENT, "FA", seq=100, ack=1)
    assert world.sent() == [(CLIENT, "A", 1, 101)]
    assert not world.send(SERVER, "PA", 10, ack=101)  # the server's answer
    assert world.sent() == [(SERVER, "R", 101, 0)]
    assert world.kinds() == ["expired", "closed", "closed", *["taken"] * 5, "dropped", "reset"]


@pytest.mark.parametrize("fault", ["idle-close:300", "gateway-timeout:300"])
def test_a_proxy_that_waits_for_minutes_still_says_goodbye(fault: str) -> None:
    """The ends have a minute for theirs, from then on."""
    world = World(fault)
    world.ask()
    world.wait(300)
    world.sent()
    sent = 142 if fault.startswith("gateway") else 0
    assert not world.send(CLIENT, "A", seq=100, ack=sent + 1)
    assert not world.send(SERVER, "A", ack=101)
    world.wait(50)
    assert not world.send(CLIENT, "FA", seq=100, ack=sent + 1)
    assert world.sent() == [(CLIENT, "A", sent + 1, 101)]
    assert not world.send(SERVER, "FA", ack=101)
    assert world.sent() == [(SERVER, "A", 101, 1)]


def test_what_a_proxy_says_in_an_outage_it_says_again() -> None:
    """Until it is acknowledged; its kernel sees to that."""
    world = World("gateway-timeout:5,outage@4-7")
    world.ask()
    world.wait(5)
    assert world.sent() == []
    world.wait(1)
    assert world.sent() == []
    world.wait(2)  # one second after the first time, and then two
    assert world.sent() == [(CLIENT, "AFP", 0, 100), (SERVER, "AF", 100, 0)]
    assert not world.send(CLIENT, "A", seq=100, ack=143)
    world.wait(4)
    assert world.sent() == [(SERVER, "AF", 100, 0)]
    assert not world.send(SERVER, "A", ack=101)
    world.wait(9)
    assert world.sent() == []


def test_a_proxy_gives_up_and_answers_itself() -> None:
    """The client gets a response and a FIN, the server a FIN; it does not if the server has begun."""
    world = World("gateway-timeout:5")
    world.ask()
    world.wait(5)
    response, closing = world.firewall.outbox

    assert response.payload.startswith(b"HTTP/1.1 504 ")
    assert response.payload.endswith(b"\r\n\r\n504 Gateway Time-out\n")
    assert b"Content-Length: 21\r\n" in response.payload
    assert (closing.side, closing.payload) == (SERVER, b"")
    length = len(response.payload)
    assert world.sent() == [(CLIENT, "AFP", 0, 100), (SERVER, "AF", 100, 0)]
    assert not world.send(CLIENT, "FA", seq=100, ack=length + 1)
    assert world.sent() == [(CLIENT, "A", length + 1, 101)]

    begun = World("gateway-timeout:5")
    begun.ask()
    begun.send(SERVER, "PA", 10, ack=100)
    begun.wait(50)
    assert begun.sent() == []


def test_a_nat_gives_another_port_and_translates_both_ways() -> None:
    """What the server says to the new port reaches the client at its own."""
    world = World("nat-rebind:5", chance=0.25)
    world.ask()
    assert world.firewall.receive(CLIENT, world.segment(CLIENT, "A", seq=99), world.now) == CLIENT_PORT
    world.wait(5)
    port = world.firewall.receive(CLIENT, world.segment(CLIENT, "A", seq=99), world.now)
    assert port not in (None, CLIENT_PORT)
    reset = world.segment(SERVER, "R")._replace(destination_port=port)

    assert world.firewall.receive(SERVER, reset, world.now) == CLIENT_PORT
    assert world.kinds() == ["probe", "expired", "rebound", "probe", "reset"]

    other = World("nat-rebind:5")
    other.ask()
    other.wait(5)
    assert not other.send(CLIENT, "R")  # the end of a flow is not the beginning of one
    assert other.kinds() == ["expired", "dropped"]


def test_bare_probes_are_filtered_and_nothing_else() -> None:
    """Of either side."""
    world = World("probes-filtered")
    world.ask()

    assert not world.probe()
    assert not world.probe(SERVER)
    assert world.send(CLIENT, "PA", 1, seq=100)
    assert world.send(SERVER, "A", ack=101)
    assert world.kinds() == ["dropped", "dropped"]
    assert world.details()[-4].endswith(": probe: bare probes are filtered")


@pytest.mark.parametrize(
    ("faults", "passes"),
    [
        ("blackhole@3", [True, True, True, False, False, False, False]),
        ("blackhole@2-4", [True, True, False, False, True, True, True]),
        ("outage@2-4,outage@5-6", [True, True, False, False, True, False, True]),
        ("blackhole@0-1", [False, True, True, True, True, True, True]),
    ],
)
def test_the_clock_starts_with_the_first_connection(faults: str, passes: list[bool]) -> None:
    """A SYN each second, after hours without; no packet but a client's SYN starts it."""
    world = World(faults)
    world.wait(10_000)
    assert not world.send(SERVER, "A")
    world.wait(10_000)
    found = []
    for turn in range(len(passes)):
        world.port = CLIENT_PORT + turn
        found.append(world.send(CLIENT, "S"))
        world.wait(1)

    assert found == passes


def test_an_outage_is_told_and_swallows_the_firewalls_own_packets() -> None:
    """What the firewall remembers stays: it forgets meanwhile, and its RSTs are lost as all else."""
    world = World("outage@1-8,idle-reset-both:5")
    world.ask()
    world.wait(6)
    assert world.sent() == []
    world.wait(3)

    assert world.kinds() == ["outage", "expired", "outage"]
    assert [detail for detail in world.details() if "outage" in detail] == ["outage begins", "outage ends"]


@pytest.mark.parametrize(("chance", "passes"), [(0.04, False), (0.06, True)])
def test_loss_is_a_matter_of_chance_alone(chance: float, passes: bool) -> None:
    """And what is lost shows no sign of life."""
    world = World("loss:5%", chance)

    assert world.send(CLIENT, "S") is passes


def test_a_server_that_has_rebooted_knows_nobody_and_takes_new_connections() -> None:
    """RST to what the client sends, from as far away as the server is; its old self is silent."""
    world = World("state-lost@3")
    world.ask()
    world.wait(3.1)
    assert not world.send(SERVER, "PA", 10, ack=100)
    assert world.sent() == []
    assert not world.probe()
    (own,) = world.firewall.outbox
    assert own.hops == HOPS - 1
    assert world.sent() == [(CLIENT, "R", 0, 0)]
    assert world.kinds() == ["state-lost", "dropped", "probe", "reset"]

    world.port += 1
    world.ask()


def test_what_belongs_to_no_flow_is_dropped_and_only_clients_connect() -> None:
    """A firewall that lets one side begin."""
    world = World("idle-drop:5")

    assert not world.send(CLIENT, "PA", 10)
    assert not world.send(SERVER, "S")
    assert not world.send(SERVER, "SA")
    assert not world.send(CLIENT, "R")
    assert world.details()[-1] == "10.99.1.2:40000 > 10.99.2.2:8080: RST: it belongs to no known flow"


def test_a_forgotten_flow_is_called_by_its_name() -> None:
    """The record says when it was forgotten, and a new connection from the same port is a new flow."""
    world = World("idle-drop:5")
    world.ask()
    world.wait(7)
    world.probe()
    assert world.details()[-2:] == [
        "10.99.1.2:40000 > 10.99.2.2:8080: idle for 5 s",
        "10.99.1.2:40000 > 10.99.2.2:8080: probe: its flow was forgotten 0.0 s ago",
    ]
    world.ask()


def test_to_forget_all_is_to_do_what_idleness_does() -> None:
    """At once, to every flow that is open."""
    world = World("idle-reset-both:600")
    for _ in range(3):
        world.port += 1
        world.ask()
    world.firewall.forget_all(world.now)

    assert world.kinds() == ["expired", "reset", "reset"] * 3
    assert len(world.sent()) == 6


def test_at_rest_once_both_sides_have_ended_or_one_has_reset() -> None:
    """Every flow, however long it stays on record."""
    world = World("idle-drop:60")
    assert world.firewall.at_rest
    world.ask()
    assert not world.firewall.at_rest
    world.send(CLIENT, "R", seq=100)
    assert world.firewall.at_rest
    world.port += 1
    world.ask()
    world.send(CLIENT, "FA", seq=100)
    world.send(SERVER, "FA", ack=101)
    assert not world.firewall.at_rest
    world.send(CLIENT, "A", seq=101, ack=1)
    assert world.firewall.at_rest


def test_no_flow_stays_in_memory_for_ever() -> None:
    """Half open ones go after a minute, those that a proxy has closed too, ended ones after ten seconds."""
    world = World("idle-close:5")
    world.send(CLIENT, "S")
    world.port += 1
    world.ask()
    world.send(SERVER, "R")
    world.port += 1
    world.ask()
    world.wait(5)
    world.wait(60)

    assert world.firewall._flows == ({}, {})
    assert world.kinds() == ["reset", "expired", "closed", "closed"]


steps = st.one_of(
    st.tuples(
        st.just("send"),
        st.sampled_from([CLIENT, SERVER]),
        st.sampled_from(["S", "SA", "A", "PA", "FA", "R", "F", "RA"]),
        st.integers(0, 3),
        st.integers(-2, 5),
        st.integers(-2, 5),
    ),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 4.0, 11.0, 61.0])),
    st.tuples(st.just("probe"), st.sampled_from([CLIENT, SERVER])),
    st.tuples(st.just("ask")),
)
COMBINED = [
    "idle-drop:5", "idle-reset:5", "idle-reset-both:5", "idle-close:5,gateway-timeout:3", "probes-filtered:5",
    "nat-rebind:5,outage@3-6", "one-way:client:5,state-lost@7", "one-way:server:5",
    "loss:50%,gateway-timeout:2",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(COMBINED), st.lists(steps, max_size=40), st.floats(0, 0.999))
def test_any_course_of_events_is_survived_and_recorded(
    faults: str, course: list[tuple[object, ...]], chance: float
) -> None:
    """Each packet has one record; nothing is due in the past; no flow is in one table only."""
    world = World(faults, chance)
    count = 0
    for what, *how in course:
        if what == "ask":
            packets = [(CLIENT, "S"), (SERVER, "SA"), (CLIENT, "A"), (CLIENT, "PA", 100)]
        elif what == "wait":
            world.wait(*how)  # type: ignore[arg-type]
            packets = []
        else:
            packets = [tuple(how) if what == "send" else (how[0], "A", 0, 99 if how[0] == CLIENT else -1)]
        for packet in packets:
            world.send(*packet)  # type: ignore[arg-type]
            count += 1
        world.firewall.advance(world.now)
        firewall = world.firewall
        assert firewall.next_due > world.now
        assert set(map(id, firewall._flows[CLIENT].values())) == set(
            map(id, firewall._flows[SERVER].values())
        )

    rows = world.firewall.journal.tell(0, 10_000)[1]
    assert sum(sender in ("client", "server") for *_, sender in rows) == count


def test_the_journal_keeps_what_is_new_and_numbers_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again gets what came since; who asks late, what is still there."""
    monkeypatch.setattr("keptalive.lab.packets.journal.MOST", 4)
    world = World("idle-drop:5")
    world.ask()  # five packets
    journal = world.firewall.journal

    assert [row[2].rpartition(": ")[2] for row in journal.tell(0, 2)[1]] == ["SYN-ACK", "ACK"]
    assert journal.tell(0, 2)[0] == 3
    assert [row[2].rpartition(": ")[2] for row in journal.tell(3, 10)[1]] == ["100 bytes", "ACK"]
    assert journal.tell(5, 10) == (5, [])


def test_the_journal_tells_what_mattered_apart() -> None:
    """With numbers of their own, and though much else has passed meanwhile."""
    world = World("idle-drop:5")
    world.ask()
    world.probe()
    world.answer()
    journal = world.firewall.journal

    assert [row[1] for row in journal.tell(0, 10, every=False)[1]] == ["probe", "answer"]
    assert journal.tell(2, 10, every=False) == (2, [])
    assert journal.tell(0, 10)[0] == 7
