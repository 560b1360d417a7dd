"""Journals that earlier versions have written are opened, brought up to date and carried on.

Each file of `tests/golden` is the dump of such a journal, left by a process that died with runs in flight. A new
one is made with `programs/upgraded.py record`, whenever the schema or what is written changes; old ones stay.
"""

import json
import sqlite3
from pathlib import Path

import pytest
from processes import lines, read_journal, run

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("journal_*.sql"))


def restore(dump: Path, journal: Path) -> None:
    """Make the journal file that was dumped."""
    connection = sqlite3.connect(journal)
    connection.executescript(dump.read_text())
    connection.close()


@pytest.mark.parametrize("dump", GOLDEN, ids=lambda dump: dump.stem)
def test_a_journal_from_before_goes_on_with_its_runs_in_flight(tmp_path: Path, dump: Path) -> None:
    """What was done is not done again, what was cut short is, and what came before is still the same."""
    journal, log = tmp_path / "journal.db", tmp_path / "effects"
    restore(dump, journal)

    finished = run("upgraded.py", "resume", str(journal), EFFECTS=str(log))

    assert (finished.code, finished.err) == (0, "")
    assert json.loads(finished.out) == {
        "same": True,
        "waiting": [True, 2, "o-1", "shipped o-1", "shipped a gift", "hello", True, "shipped the last"],
        "working": "done o-2",
    }
    assert sorted(lines(log)) == ["effect cut short o-2", "effect ship the last"]
    statuses = sorted((run.component, run.status.value) for run, _ in read_journal(journal))
    assert statuses == [
        ("child", "completed"),
        ("child", "completed"),
        ("child", "queued"),
        ("waiting", "completed"),
        ("working", "completed"),
    ]


def test_there_is_a_golden_journal() -> None:
    """The test above has something to go by."""
    assert GOLDEN
