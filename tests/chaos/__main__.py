"""Random faults against every client, for as long as you like.

    python -m chaos [--seed N] [--rounds N] [--only ROUND] [--client CLIENT]

Prints what became of each round, and every complaint with what it takes to see it again. A seed that
was not given is drawn, and printed. Exits with 1 if anything held was lost, cut short, late or repeated.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import Counter
from random import SystemRandom

from chaos.plan import FAMILIES, draw
from chaos.rounds import Verdict, carry_out
from matrix.drivers import CLIENTS

#: Rounds at once: each has some sixty requests, which mostly wait.
AT_ONCE = 11


def main() -> int:
    options = _options()
    print(f"chaos: seed {options.seed}, Python {platform.python_version()}", flush=True)
    rounds = draw(options.seed, options.rounds, options.client or CLIENTS)
    if options.only is not None:
        rounds = [one for one in rounds if one.number == options.only]
    if not rounds:
        sys.exit(f"chaos: there is no such round: they go from 0 to {options.rounds - 1}")
    began, bad = time.monotonic(), 0
    for start in range(0, len(rounds), AT_ONCE):
        for verdict in carry_out(rounds[start : start + AT_ONCE]):
            print(describe(verdict), flush=True)
            bad += len(verdict.complaints)
    print(f"{len(rounds)} rounds in {time.monotonic() - began:.0f} s, {bad} complaints")
    return 1 if bad else 0


def describe(verdict: Verdict) -> str:
    """Say what became of a round: the counts, and each complaint."""
    counts = {
        variant: Counter(fate.outcome for fate in verdict.fates.values() if fate.variant == variant)
        for variant in ("held", "plain")
    }
    lines = [
        f"{verdict.round}, {verdict.seconds:.0f} s: "
        + "; ".join(f"{name} {_counted(of)}" for name, of in counts.items())
    ]
    asked = {one.client: one for one in verdict.round.asked}
    for client, complaints in verdict.complaints.items():
        lines += [f"  {client}: {'; '.join(complaints)}", f"    asked: {asked[client]}"]
        lines += [f"    {fate}" for (name, _), fate in verdict.fates.items() if name == client]
        lines.append(
            f"    again: ./dev chaos --seed {verdict.round.seed} --rounds {verdict.round.number + 1} "
            f"--only {verdict.round.number} --client {client}"
        )
    return "\n".join(lines)


def _counted(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()) or "nobody"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seed", type=int, default=SystemRandom().randrange(1_000_000), help="default: drawn"
    )
    parser.add_argument(
        "--rounds", type=int, default=len(FAMILIES), help="default: %(default)s, one of each kind"
    )
    parser.add_argument("--only", type=int, metavar="ROUND", help="of these, this one only, counted from 0")
    parser.add_argument(
        "--client", action="append", choices=CLIENTS, help="this client only; may be repeated"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
