"""Random faults against every client, held: the whole answer or an error in time, and no request too many.

One seed, the same in every run; `./dev chaos` goes on with others. The rounds of a batch take place at
once: they mostly wait.
"""

from __future__ import annotations

import pytest

from chaos.__main__ import AT_ONCE, describe
from chaos.plan import FAMILIES, draw
from chaos.rounds import Verdict, carry_out
from keptalive.errors import LabError
from keptalive.lab import open_lab
from matrix.drivers import CLIENTS, driver
from support import missing, require

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

SEED = 20261127
ROUNDS = draw(SEED, len(FAMILIES))
HERE = [client for client in CLIENTS if not driver(client).missing("plain")]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    try:
        open_lab("blackhole@1", engine="packet").close()
    except LabError as error:
        missing(str(error))
    rounds = draw(SEED, len(FAMILIES), HERE)
    batches = [rounds[start : start + AT_ONCE] for start in range(0, len(rounds), AT_ONCE)]
    return {verdict.round.family.name: verdict for batch in batches for verdict in carry_out(batch)}


@pytest.mark.parametrize("family", [one.family.name for one in ROUNDS])
def test_every_held_request_ends_as_it_should(family: str, verdicts: dict[str, Verdict]) -> None:
    """And the plain ones show that the fault was there."""
    verdict = verdicts[family]

    assert not verdict.complaints, describe(verdict)


@pytest.mark.parametrize("family", [one.family.name for one in ROUNDS if one.family.plain == "lost"])
def test_the_judge_finds_what_is_wrong_with_the_plain_ones(family: str, verdicts: dict[str, Verdict]) -> None:
    """Judged as if they had been held, those that wait in silence are found to hang: so chaos can fail."""
    verdict = verdicts[family]
    hanging = {
        asked.client
        for asked in verdict.round.asked
        if asked.waits and verdict.fates[asked.client, "plain"].outcome == "lost"
    }

    assert hanging
    assert hanging <= set(verdict.of_plain)


def test_every_client_took_part(verdicts: dict[str, Verdict]) -> None:
    """What is not installed is missed: in CI, all of them are."""
    require(len(HERE) == len(CLIENTS), f"needs {sorted(set(CLIENTS) - set(HERE))}")
    for verdict in verdicts.values():
        assert {client for client, _ in verdict.fates} == set(HERE)
