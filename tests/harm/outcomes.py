"""What tests came to, plain and under the switch, and what follows from comparing it.

Rule: pure. A test's outcome is a word and, where it has one, its reason; messages and
times differ from run to run and say nothing. What cannot be told from chance is named
as unsteady, never dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

PASSED = "passed"
MISSING = "did not run"
AS_A_WHOLE = " as a whole"  # ends the name of what is no test: how a process of tests ended

Outcomes = Mapping[str, str]  # test -> outcome


def parse(report: str) -> dict[str, str]:
    """Return test -> outcome of a JUnit report, by pytest or by the standard library's `python -m test`."""
    outcomes: dict[str, list[str]] = {}
    place = ""
    for case in ElementTree.fromstring(report).iter("testcase"):
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        # regrtest leaves a test without a name of which a subtest failed; order is what tells it then
        place = name or f"{place}, one later"
        outcomes.setdefault(place, []).append(_outcome(case))
    return {
        test if number == 0 else f"{test} #{number + 1}": outcome
        for test, found in outcomes.items()
        for number, outcome in enumerate(found)
    }


def _outcome(case: ElementTree.Element) -> str:
    words = []
    for part in case:
        what = part.get("message") or part.text or ""
        if part.tag == "skipped":
            words.append(f"skipped: {_steady(what)}")
        elif part.tag in ("failure", "error"):
            kind = part.get("type") or what.partition(":")[0].partition("\n")[0]
            words.append(f"{part.tag}: {_steady(kind)}")
        elif part.tag == "output":
            words.append("expected failure")
        elif part.tag == "outcome":
            words.append("unexpected success")
    if case.get("name") is None and not words:
        words.append("failure in a subtest")
    return "; ".join(words) or PASSED


def _steady(text: str) -> str:
    """Return a reason without what changes by itself: addresses in memory, temporary folders."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", text.strip())
    return re.sub(r"/tmp/[^\s'\":]+", "/tmp/…", text)


@dataclass
class Comparison:
    """A suite's tests, each in one of three lists: the same, unsteady, different."""

    same: dict[str, str] = field(default_factory=dict)  # test -> outcome
    unsteady: dict[str, str] = field(default_factory=dict)  # test -> the tallies, in words
    different: dict[str, str] = field(default_factory=dict)

    def add(self, other: Comparison) -> None:
        """Take over what another comparison found."""
        self.same.update(other.same)
        self.unsteady.update(other.unsteady)
        self.different.update(other.different)

    def count(self, *words: str) -> int:
        """Return how many tests are the same and have an outcome that begins with one of these words."""
        return sum(what.startswith(words or "") for test, what in self.same.items() if _is_test(test))

    @property
    def total(self) -> int:
        """Return the number of tests."""
        return sum(map(_is_test, (*self.same, *self.unsteady, *self.different)))


def _is_test(name: str) -> bool:
    return not name.endswith(AS_A_WHOLE)


def compare(plain: Sequence[Outcomes], switched: Sequence[Outcomes]) -> Comparison:
    """Judge each test by all its runs."""
    result = Comparison()
    for test in dict.fromkeys(name for run in (*plain, *switched) for name in run):
        without = [run.get(test, MISSING) for run in plain]
        under = [run.get(test, MISSING) for run in switched]
        if len({*without, *under}) == 1:
            result.same[test] = under[0]
        else:
            tallies = f"plain: {_tally(without)}; switched on: {_tally(under)}"
            (result.different if differs(without, under) else result.unsteady)[test] = tallies
    return result


def differs(plain: Sequence[str], switched: Sequence[str]) -> bool:
    """Tell whether outcomes under the switch are other than plain, beyond what chance explains.

    They are if none is what plain runs have come to, or if plain runs agree and more
    than one run under the switch departs from them.
    """
    usual = set(plain)
    strange = [outcome for outcome in switched if outcome not in usual]
    return len(strange) == len(switched) or (len(usual) == 1 and len(strange) > 1)


def _tally(outcomes: Iterable[str]) -> str:
    return ", ".join(f"{number} x {outcome}" for outcome, number in Counter(outcomes).items())
