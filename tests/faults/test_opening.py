"""Opening a journal of an earlier version is cut short, or tried by many at once, and harms nothing.

The journals are those of `tests/golden`, left by earlier versions with runs in flight.
"""

import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from e2e.processes import KILLED, finish, for_each

from agnt5.store.sqlite.opening import migrations
from agnt5.store.sqlite.store import SqliteStore

from . import preloading
from .disk import Loss, recording
from .images import JOURNAL, Journals, Judge, Promise, images, journals_of, lay_out

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("journal_*.sql"))
NEWEST = migrations()[-1][0]
AT_ONCE = 10
SEED = 41
KILL = -3  # As in preload/trouble.c.


def restore(dump: Path, folder: Path) -> Path:
    """Make the journal file that was dumped."""
    folder.mkdir()
    connection = sqlite3.connect(folder / JOURNAL)
    connection.executescript(dump.read_text())
    connection.close()
    return folder / JOURNAL


async def journals_in(journal: Path) -> Journals:
    """Open a journal, and read all of it."""
    store = SqliteStore(journal)
    await store.open()
    try:
        return await journals_of(store)
    finally:
        await store.close()


def version_of(journal: Path) -> int:
    """The version of a journal's schema."""
    connection = sqlite3.connect(journal)
    [[version]] = connection.execute("PRAGMA user_version")
    connection.close()
    return int(version)


@pytest.mark.parametrize("dump", GOLDEN, ids=lambda dump: dump.stem)
async def test_the_power_may_go_at_any_moment_of_a_migration(
    tmp_path: Path, recorder: Path, memory: Path, dump: Path
) -> None:
    """F28: after each operation on the disk, killed or without power, the journal opens and has all that it had."""
    journal = restore(dump, tmp_path / "disk")
    before = {JOURNAL: journal.read_bytes()}
    shutil.copytree(journal.parent, tmp_path / "copy")
    expected = await journals_in(tmp_path / "copy" / JOURNAL)
    judge = Judge([Promise(0, "committed", (sum(map(len, expected.values())),))], expected)
    opened = preloading.run(
        recorder,
        "opening.py",
        str(journal),
        RECORD_PATH=str(journal.parent),
        RECORD_TO=str(tmp_path / "recording"),
    )
    assert opened.out.startswith("opened"), opened
    operations = recording(tmp_path / "recording", journal.parent)
    assert len(operations) > 20, "there is something to cut short"

    problems = []
    chance = Random(SEED)
    for number, image in enumerate(images(operations, [Loss.NOTHING, Loss.DROPPED, Loss.TORN], chance, before)):
        folder = memory / f"{number}"
        folder.mkdir()
        left = lay_out(image, folder, chance)
        problem = await judge.verdict(image, left)
        if problem or version_of(left) != NEWEST:
            problems.append(f"after operation {image.position}, unsynced {image.loss}: {problem or 'not migrated'}")
        shutil.rmtree(folder)

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("dump", GOLDEN[:1], ids=lambda dump: dump.stem)
def test_a_process_that_is_killed_while_it_migrates_leaves_it_to_the_next(
    tmp_path: Path, trouble: Path, dump: Path
) -> None:
    """F28, F-U4: SIGKILL at a write, and the next process completes what the first began."""

    def kill_at(write: int) -> None:
        journal = restore(dump, tmp_path / f"{write}")

        killed = preloading.run(
            trouble, "opening.py", str(journal), TROUBLE=f"write {KILL} {write} 1", TROUBLE_PATH=str(journal)
        )
        after = preloading.run(trouble, "opening.py", str(journal))

        assert killed.code == KILLED, killed
        assert after.out.startswith("opened"), after
        assert version_of(journal) == NEWEST

    for_each([0, 3, 8, 12], kill_at)


@pytest.mark.parametrize("dump", [None, *GOLDEN], ids=lambda dump: dump.stem if dump else "no journal yet")
def test_of_many_that_open_a_journal_at_once_one_has_it(tmp_path: Path, dump: Path | None) -> None:
    """F47, D38: whoever is first makes or migrates it; the others are told that it is taken, and nothing else."""
    journal = restore(dump, tmp_path / "disk") if dump else tmp_path / "disk" / JOURNAL
    barrier = tmp_path / "barrier"
    processes = [preloading.start(None, "opening.py", str(journal), str(barrier)) for _ in range(AT_ONCE)]

    barrier.touch()
    wait_until_ended(processes, AT_ONCE - 1)
    barrier.unlink()
    said = sorted(finish(process).out.split()[0] for process in processes)

    assert said == ["JournalLockedError"] * (AT_ONCE - 1) + ["opened"]
    assert version_of(journal) == NEWEST


def wait_until_ended(processes: "list[subprocess.Popen[str]]", count: int) -> None:
    """Wait until so many of the processes have ended."""
    deadline = time.monotonic() + 30
    while sum(process.poll() is not None for process in processes) < count:
        assert time.monotonic() < deadline, "they don't end"
        time.sleep(0.01)
