"""What is run again for which tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from harm.suites import AT_A_TIME, LIBRARIES, STDLIB_QUICK, STDLIB_REST, Library, Part

FILES = Part(
    "lib 1.0", Path("python"), ("tests/test_a.py", "tests/test_b.py"), Path("lib-1.0"), ("-m", "not x")
)
MODULE = Part("standard library", Path("python"), ("test_ssl",))


@pytest.mark.parametrize(
    ("part", "tests", "again"),
    [
        (FILES, ["tests.test_a::test_x"], ("tests/test_a.py",)),
        (FILES, ["tests.test_b.T::test_x", "tests.test_b::test_y"], ("tests/test_b.py",)),
        (FILES, ["tests.test_b::test_y", "tests.test_a::test_x"], FILES.tests),
        (FILES, ["tests.test_a::test_x", FILES.whole], FILES.tests),  # how it ended is nobody's file
        (MODULE, ["test.test_ssl.T.test_x"], MODULE.tests),
    ],
)
def test_narrowed(part: Part, tests: list[str], again: tuple[str, ...]) -> None:
    """The files of the tests in doubt, or everything; under the same name, with the same options."""
    narrowed = part.narrowed(tests)

    assert narrowed.tests == again
    assert (narrowed.suite, narrowed.folder, narrowed.options) == (part.suite, part.folder, part.options)


def test_commands() -> None:
    """The standard library's by its own runner, a library's by pytest, both with a report and a time-out."""
    for part, runner in ((MODULE, "test"), (FILES, "pytest")):
        command = part.command(Path("report.xml"))

        assert command[:3] == ["python", "-m", runner]
        assert command[-len(part.tests) :] == list(part.tests)
        assert {"--timeout", "--junit-xml", "report.xml"} <= set(command)


def test_the_slow_begin() -> None:
    """What takes longest is not what the others wait for in the end; nothing is left out or run twice."""
    library = Library("lib", "1.0", "tests", (), slow=("y.py",))
    files = [f"{name}.py" for name in "abcdefghijkxyz"]
    split = library.split(files)

    assert split[0] == ("y.py",)
    assert sorted(file for some in split for file in some) == files
    assert max(map(len, split)) <= AT_A_TIME
    assert library.split(["y.py"]) == [("y.py",)]


def test_nothing_is_named_twice() -> None:
    """What CI runs is part of the whole."""
    assert len({*STDLIB_QUICK, *STDLIB_REST}) == len(STDLIB_QUICK) + len(STDLIB_REST)
    assert len({library.name for library in LIBRARIES}) == len(LIBRARIES)
