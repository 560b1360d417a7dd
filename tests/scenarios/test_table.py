"""The table of scenarios names tests that there are, and every test here is in it."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "scenarios.md").read_text()
REFERENCES = re.findall(r"`([a-z0-9_/]+\.py)(?:::(test_\w+))?`", PAGE)


def test_every_test_that_is_named_exists():
    """Whoever renames a test mends the table."""
    missing = [
        f"{file}::{test}"
        for file, test in REFERENCES
        if not (TESTS / file).exists() or not re.search(rf"def {test}\b", (TESTS / file).read_text())
    ]

    assert REFERENCES
    assert not missing


def test_every_scenario_has_an_answer():
    """A test, the part that it waits for, or the reason why there is none."""
    rows = [line.split("|")[1:4] for line in PAGE.splitlines() if re.match(r"\| [TRDF]\d", line)]
    unanswered = [row[0] for row in rows if not re.search(r"`[a-z0-9]+/|later: \w|we don't", row[2])]

    assert len(rows) > 100
    assert not unanswered


def test_every_test_of_a_scenario_is_in_the_table():
    """What is tried is told."""
    named = {test for _, test in REFERENCES}
    here = {
        test
        for file in Path(__file__).parent.glob("test_*.py")
        if file != Path(__file__)
        for test in re.findall(r"def (test_\w+)", file.read_text())
    }

    assert here <= named, here - named
