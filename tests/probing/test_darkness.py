"""What is asked while the path may be down says nothing; what is asked in daylight does."""

from __future__ import annotations

from keptalive.probing.darkness import Darkness


def test_daylight() -> None:
    """Answers, and nobody unheard: nothing is hidden, now or ever."""
    darkness = Darkness()
    for now in (1.0, 2.0, 3.0):
        darkness.answered(now, now)

    assert not any(darkness.hides(at, 1) for at in (0.0, 1.5, 3.5))


def test_unheard_between_two_answers() -> None:
    """All is hidden from the answer before to the next one, at either end too."""
    darkness = Darkness()
    darkness.answered(1.0, 1.1)
    darkness.unheard()

    assert darkness.hides(5.0, 1)  # it may still be dark

    darkness.answered(7.0, 7.2)
    darkness.answered(8.0, 8.1)

    assert [darkness.hides(at, 1) for at in (0.9, 1.0, 5.0, 7.2, 7.3, 9.0)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_once_is_not_enough_where_packets_are_lost() -> None:
    """One unheard question is chance there; two in the same gap are not."""
    darkness = Darkness()
    darkness.answered(1.0, 1.0)
    darkness.unheard()

    assert not darkness.hides(2.0, 2)

    darkness.unheard()

    assert darkness.hides(2.0, 2)

    darkness.answered(3.0, 3.0)

    assert darkness.hides(2.0, 2)
    assert not darkness.hides(4.0, 1)


def test_before_the_first_answer() -> None:
    """Whoever goes unheard before anybody answered makes all of it dark."""
    darkness = Darkness()
    darkness.unheard()

    assert darkness.hides(-1e9, 1)
