"""A process that is killed while it removes old runs leaves a whole journal, and the next one goes on with it."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from time import time_ns

import pytest
from processes import KILLED, run

from agnt5.runtime.clock import SystemClock
from agnt5.runtime.retention import Keeper, Retention
from agnt5.store.sqlite.checking import check_journal
from agnt5.store.sqlite.removing import REMOVED
from agnt5.store.sqlite.store import SqliteStore

NUMBERS_MAX = 100  # Commits of a pass; far more than there are.
TABLES = ("runs", "journal", "idempotency_keys", "events", "waiters")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with much in it that is to go."""
    journal = tmp_path_factory.mktemp("full") / "journal.db"
    assert run("trimming.py", "fill", str(journal)).code == 0
    return journal


def rows(journal: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that a journal holds."""
    connection = sqlite3.connect(journal)
    found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}
    connection.close()
    return found


def half_gone(journal: Path) -> int:
    """How many runs have lost some of their entries and are there all the same, or have lost their key."""
    connection = sqlite3.connect(journal)
    [[count]] = connection.execute(
        "SELECT count(*) FROM runs r WHERE partition = 0 AND (NOT EXISTS (SELECT 1 FROM journal j "
        "WHERE j.run_id = r.id AND position = 0) OR (idempotency_key IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM idempotency_keys k WHERE k.run_id = r.id)))"
    )
    connection.close()
    return int(count)


async def go_on(journal: Path) -> None:
    """Trim it to the end, as the next process does."""
    store = SqliteStore(journal)
    await store.open()
    keeper = Keeper(store, Retention(), SystemClock())
    while keeper.next_at < time_ns() // 1000 + 60_000_000:
        keeper.next_at = 0
        await keeper.work()
    await store.close()


@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_process_that_is_killed_in_trimming_leaves_a_whole_journal(tmp_path: Path, full: Path, when: str):
    """At each commit that removes something: no run is half gone, nothing that must stay is gone, and it goes on."""
    ended: list[dict[str, list[tuple[object, ...]]]] = []
    remains = 0
    for number in range(1, NUMBERS_MAX):
        journal = Path(shutil.copy(full, tmp_path / f"{number}.db"))
        killed = run("trimming.py", "trim", str(journal), when, str(number))
        if killed.code == 0:
            break
        assert killed.code == KILLED, killed
        assert check_journal(journal, lambda done, total: None).findings == []
        assert half_gone(journal) == 0
        left = rows(journal)
        remains += any(row[0] == REMOVED for row in left["runs"])
        asyncio.run(go_on(journal))
        ended.append(rows(journal))

    assert len(ended) >= 5, "short runs, a long one, a wait and an event go in several commits"
    assert remains, "some were killed between the pieces of one run"
    assert all(found == ended[0] for found in ended)
    kept = ended[0]
    assert len(rows(full)["runs"]) > 50
    assert len(kept["runs"]) == 3, "the parent that waits, its child, and the run that is young"
    assert len(kept["idempotency_keys"]) == 2
    assert [row[1] for row in kept["events"]] == ["old"]
    assert len(kept["waiters"]) == 1
