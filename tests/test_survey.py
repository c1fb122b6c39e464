"""A survey: whatever the kernel records, and whoever ends in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keptalive.linux import processes
from keptalive.survey import Memo, Survey
from linux.programs import program


def test_a_process_that_ends_before_its_sockets_are_asked() -> None:
    """Between the search for owners and the question: its settings stay unknown."""
    with program("hold", "60") as running:
        assert running.said is not None
        holders, _ = processes.owners({running.pid})
        rows = [(1, 2, b"\x02\x01\x02\x00", bytes(4), bytes(4), 1000, 0, inode) for inode in holders]
        found = Survey([rows], holders, [])
        running.kill()
        running.wait()
        found.ask()
        found.sort()

        (batch,) = found.batches
        assert len(batch) == 3
        assert {found.facts[row[2]].settings.idle for row in batch} == {None}
        assert {found.names[pid] for pid in found.owners(batch) if pid} <= {"", "python"}


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=20))
def test_any_state_and_timer_has_its_facts(shapes: list[bytes]) -> None:
    """What this kernel does not know yet, neither do we: no crash."""
    rows = [(1, 2, shape, bytes(4), bytes(16), 3, 0, 0) for shape in shapes]
    found = Survey([rows], {}, [])

    for row in rows:
        facts = found.facts[row[2]]
        assert facts.probes == row[2][3]
        assert facts.protected is None or facts.state in ("ESTABLISHED", "CLOSE-WAIT")


def test_a_memo_calls_once() -> None:
    """And looks up ever after."""
    calls = []
    memo = Memo(lambda key: calls.append(key) or len(calls))

    assert [memo["a"], memo["b"], memo["a"]] == [1, 2, 1]
    assert calls == ["a", "b"]
