"""What a report says, and when two of them differ."""

from __future__ import annotations

import pytest

from harm.outcomes import AS_A_WHOLE, MISSING, Comparison, compare, differs, parse

# As `python -m test --junit-xml` writes it; of the fourth test a subtest failed, which leaves it nameless.
REGRTEST = """<testsuites tests="5" errors="0" failures="1"><testsuite tests="5">
<testcase name="test.test_x.T.test_a" status="run" result="completed" time="0.1" />
<testcase name="test.test_x.T.test_b" status="run"><skipped>needs '/tmp/harm-1/x'</skipped></testcase>
<testcase name="test.test_x.T.test_c" status="run"><system-out>noise</system-out>
<failure type="AssertionError" message="3 != 4">Traceback</failure></testcase>
<testcase />
<testcase name="test.test_x.T.test_e" status="run"><output type="OSError">x</output></testcase>
</testsuite></testsuites>"""

PYTEST = """<testsuites><testsuite name="pytest" tests="5">
<testcase classname="tests.test_a.T" name="test_a[1]" time="0.1" />
<testcase classname="tests.test_a.T" name="test_a[1]">
<error message="failed on teardown with &quot;OSError: at 0x7f12&quot;">text</error></testcase>
<testcase classname="tests.test_a" name="test_b">
<skipped type="pytest.skip" message="no loop at 0x7fff01">tests/test_a.py:9: no loop</skipped></testcase>
<testcase classname="tests.test_a" name="test_c">
<failure message="ValueError: port 34567&#10;more">text</failure></testcase>
</testsuite></testsuites>"""


def test_the_standard_librarys_reports() -> None:
    """Outcomes without what differs from run to run; a test that lost its name keeps its place."""
    assert parse(REGRTEST) == {
        "test.test_x.T.test_a": "passed",
        "test.test_x.T.test_b": "skipped: needs '/tmp/…'",
        "test.test_x.T.test_c": "failure: AssertionError",
        "test.test_x.T.test_c, one later": "failure in a subtest",
        "test.test_x.T.test_e": "expected failure",
    }


def test_pytests_reports() -> None:
    """A test that fails when it is torn down has two entries, and both count."""
    assert parse(PYTEST) == {
        "tests.test_a.T::test_a[1]": "passed",
        "tests.test_a.T::test_a[1] #2": 'error: failed on teardown with "OSError',
        "tests.test_a::test_b": "skipped: no loop at 0x…",
        "tests.test_a::test_c": "failure: ValueError",
    }


@pytest.mark.parametrize(
    ("plain", "switched", "different"),
    [
        ("p", "p", False),
        ("p", "f", True),
        ("pp", "f", True),
        ("pppp", "fppp", False),  # once, and never again
        ("pppp", "ffpp", True),
        ("pppf", "ffff", False),  # it fails plain, too
        ("pppf", "eeee", True),  # but not like that
        ("ffff", "pppp", True),  # better is different as well
    ],
)
def test_differs(plain: str, switched: str, *, different: bool) -> None:
    """What plain runs never come to, and runs under the switch more than once."""
    assert differs(plain, switched) is different


def test_compare() -> None:
    """Every test is in exactly one list, those that one side did not even run included."""
    found = compare(
        [{"a": "passed", "b": "passed", "c": "passed", "e": "skipped: x"}] * 2,
        [{"a": "passed", "b": "failure: X", "d": "passed", "e": "skipped: x"}] * 2,
    )

    assert found.same == {"a": "passed", "e": "skipped: x"}
    assert found.different == {
        "b": "plain: 2 x passed; switched on: 2 x failure: X",
        "c": f"plain: 2 x passed; switched on: 2 x {MISSING}",
        "d": f"plain: 2 x {MISSING}; switched on: 2 x passed",
    }
    assert found.unsteady == {}


def test_counts() -> None:
    """How a process ended is compared and is no test."""
    found = Comparison(same={"a": "passed", "b": "skipped: x", f"all{AS_A_WHOLE}": "exit 0"})

    assert (found.total, found.count(), found.count("skipped"), found.count("failure", "error")) == (
        2,
        2,
        1,
        0,
    )
