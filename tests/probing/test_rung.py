"""One connection over a simulated path: settled before it counts, asked until the answer is clear."""

from __future__ import annotations

import asyncio
import random

import pytest

from keptalive.probing.rung import AGAIN, FLOOR, Answer, Rung, Weather
from keptalive.probing.wire import Look
from probing.simulation import Path, SimulatedWire, run


def on(path: Path, test: object) -> None:
    """Run test(rung, wire) over a path, once connected."""

    async def go() -> None:
        wire = SimulatedWire(path, lambda: None)
        try:
            await wire.connect()
        except TimeoutError:
            return  # four SYNs lost in a row
        await test(Rung(0, wire, Weather()), wire)  # type: ignore[operator]

    run(go(), path.chance)


def clear(**more: object) -> Path:
    return Path(chance=random.Random(1), **more)  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_idle_time_begins_with_the_answer() -> None:
    """Not with the connection: a rung that settles late is younger."""

    async def test(rung: Rung, wire: SimulatedWire) -> None:
        assert await rung.settle(0.5)
        settled = now()
        assert 1.4 < settled - wire.connected < 2
        await asyncio.sleep(3)
        assert rung.age(now()) == pytest.approx(3, abs=0.06)
        assert rung.age(now()) <= now() - settled + 0.02 <= rung.age_at_most(now()) + 0.02
        assert not rung.disturbed()

    on(clear(), test)


def test_asked_before_and_after_the_timeout() -> None:
    """Alive below, silent above; the answer begins a new silence."""

    async def test(rung: Rung, wire: SimulatedWire) -> None:
        assert await rung.settle(0)
        await asyncio.sleep(4.8)
        assert await rung.ask() is Answer.ALIVE
        await rung.rest()
        assert rung.age(now()) < 0.1
        await asyncio.sleep(5.2)
        assert await rung.ask() is Answer.SILENT

    on(clear(timeout=5.0), test)


class Repeats(SimulatedWire):
    """Repeats a probe each second until it is hushed, as the kernel does."""

    _again: asyncio.TimerHandle | None = None

    def _send_probe(self) -> None:
        super()._send_probe()
        if self._again is not None:
            self._again.cancel()
        self._again = self._loop.call_later(1.0, self._send_probe)

    def hush(self) -> None:
        super().hush()
        if self._again is not None:
            self._again.cancel()


def test_what_the_kernel_repeats_is_no_part_of_the_question() -> None:
    """However long an answer may take on this path: it is waited for once, not after each repetition."""

    async def go() -> None:
        wire = Repeats(clear(timeout=5.0), lambda: None)
        await wire.connect()
        rung = Rung(0, wire, Weather())
        assert await rung.settle(0)
        await asyncio.sleep(8)
        rung.weather.round_trip = 1.0
        begun = now()
        assert await asyncio.wait_for(rung.ask(), 60) is Answer.SILENT
        assert 3 < now() - begun < 5
        wire.close()

    run(go(), random.Random(1))


def test_an_rst_ends_the_question() -> None:
    """The firewall's RST comes at once, and only because it was asked."""

    async def test(rung: Rung, wire: SimulatedWire) -> None:
        assert await rung.settle(0)
        await asyncio.sleep(5.2)
        assert wire.end is None
        assert await rung.ask() is Answer.ENDED
        assert await rung.ask() is Answer.ENDED
        assert wire.end is not None
        assert wire.end.kind == "reset"

    on(clear(timeout=5.0, resets=True), test)


def test_probes_that_are_filtered_never_settle() -> None:
    """Four bursts, then it is given up."""

    async def test(rung: Rung, wire: SimulatedWire) -> None:
        assert not await rung.settle(0)
        assert now() - wire.connected > FLOOR + 3 * AGAIN

    on(clear(filters_probes=True), test)


def test_the_other_ends_probes_disturb() -> None:
    """They count as segments, and refresh every box on the way."""

    async def test(rung: Rung, wire: SimulatedWire) -> None:
        assert await rung.settle(0)
        assert not rung.disturbed()
        await asyncio.sleep(3)
        assert rung.disturbed()

    on(clear(server_probes_every=2.0), test)


def test_a_lost_handshake_cannot_fool_it() -> None:
    """Where the last segment was lost, a firewall remembers for a minute: what is measured is not that."""
    fooled = trials = 0

    async def test(rung: Rung, wire: SimulatedWire) -> None:
        nonlocal fooled, trials
        if not await rung.settle(0):
            return
        await asyncio.sleep(8)
        if not rung.disturbed():
            trials += 1
            fooled += await rung.ask() is Answer.ALIVE

    for seed in range(300):
        on(Path(5.0, random.Random(seed), loss=0.2), test)

    assert trials > 200
    assert fooled == 0


def test_the_weather_makes_it_ask_longer() -> None:
    """One lost probe, and nobody is believed dead so soon."""
    weather = Weather()
    fine = weather.burst, weather.bursts, weather.doubt
    for _ in range(20):
        weather.note(1)
    assert (weather.burst, weather.bursts, weather.doubt) == fine

    weather.note(2)
    assert weather.lossy
    assert weather.bursts > fine[1]
    assert weather.doubt > fine[2]
    weather.note(9)
    assert weather.burst > fine[0]
    assert weather.loss == pytest.approx(9 / 31)


def test_the_round_trip_is_the_median() -> None:
    """A connection whose SYN was lost looks a second long, and says nothing about the path."""
    weather = Weather()
    for seconds in (0.0, 0.02, 1.0, 0.021, 0.019):
        weather.note_round_trip(seconds)

    assert weather.round_trip == pytest.approx(0.021)


def test_an_answer_that_comes_late() -> None:
    """It is an answer all the same: seen before the next burst, which then need not be sent."""

    async def test(rung: Rung, wire: SimulatedWire) -> None:
        await asyncio.sleep(3)
        assert await rung.ask() is Answer.SILENT  # nobody has told it yet how long the way is
        await rung.pause()
        assert await rung.ask() is Answer.ALIVE
        assert rung.bursts == 1
        await rung.rest()
        assert rung.bursts == 0
        assert rung.age(now()) <= 0.35 <= rung.age_at_most(now())  # at the firewall, half way

    on(clear(round_trip=0.4), test)


class Stalled(SimulatedWire):
    """This process gets no CPU for *late* seconds while it looks: until when may the answer have come?"""

    late = 0.0

    def look(self) -> Look:
        look = super().look()
        return look._replace(answered=(look.answered[0], look.answered[1] + self.late))


def test_a_look_that_took_long_is_no_answer() -> None:
    """What came before the silence does not count as its end, however vague the time of it."""

    async def ask(timeout: float) -> Answer:
        wire = Stalled(clear(timeout=timeout), lambda: None)
        await wire.connect()
        rung = Rung(0, wire, Weather())
        assert await rung.settle(0)
        await asyncio.sleep(8)
        wire.late = 9
        answer = await rung.ask()
        if answer is Answer.ALIVE:
            await rung.rest()
        return answer

    assert run(ask(5.0), random.Random(1)) is Answer.SILENT
    assert run(ask(60.0), random.Random(1)) is Answer.ALIVE


def test_settled_late() -> None:
    """A machine that is so busy that it comes back late proves nothing by a question without an answer."""

    async def settle(timeout: float, lateness: float) -> tuple[bool, bool]:
        path = clear(timeout=timeout)
        wire = SimulatedWire(path, lambda: None)
        await wire.connect()
        rung = Rung(0, wire, Weather())
        await asyncio.sleep(lateness)  # what another task takes of the event loop's time
        return await rung.settle(0), rung.late

    chance = random.Random(1)
    assert run(settle(5.0, 0), chance) == (True, False)
    assert run(settle(5.0, 9.0), chance) == (False, True)
    assert run(settle(0.5, 0), chance) == (False, False)
