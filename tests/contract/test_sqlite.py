"""What only a file can go wrong with: durability settings, locks, readers, and places that can't be written."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from agnt5.core.model.errors import JournalLockedError, StoreError, StoreFull
from agnt5.store.sqlite.reader import SqliteReader
from agnt5.store.sqlite.store import SqliteStore

from .files import assert_helpful
from .making import batch, journal, outcome, run, run_id, started

# Durability


async def test_every_commit_is_synced(sqlite: SqliteStore):
    """The connection that writes uses a write-ahead log and waits for the disk at each commit."""

    def setting(name: str) -> object:
        return sqlite._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert setting("journal_mode") == "wal"
    assert setting("synchronous") == 2, "2 is FULL: with 1 a commit may be lost in a power failure"
    assert setting("auto_vacuum") == 2, "2 is INCREMENTAL: space is given back in small pieces"


async def test_settings_hold_for_a_file_that_was_there(closed: Path):
    """They belong to the connection and are made with each one."""
    store = SqliteStore(closed)
    await store.open()

    assert store._connection.execute("PRAGMA synchronous").fetchone()[0] == 2

    await store.close()


async def test_only_its_owner_can_read_a_journal(sqlite: SqliteStore, path: Path):
    """Inputs and results are nobody else's business, whatever the umask says."""
    assert mode(path) == 0o600
    assert mode(path.with_name("journal.db.lock")) == 0o600


async def test_directories_are_made(tmp_path: Path):
    """The first use needs no preparation."""
    store = SqliteStore(tmp_path / "a" / "b" / "journal.db")

    await store.open()

    assert mode(tmp_path / "a" / "b") == 0o700
    await store.close()


def mode(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(path.stat().st_mode)


# One writer


_HOLDER: Final = """
import asyncio, sys
from pathlib import Path
from agnt5.store.sqlite.store import SqliteStore
from contract.making import batch, run

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    await store.commit(batch(created=[run(5)]))
    print("open", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the journal open, and has committed run 5."""
    folders = [str(Path(__file__).parent.parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.communicate()


async def test_the_second_process_is_told_who_has_the_journal(holder: subprocess.Popen[str], path: Path):
    """At once, with the other's pid and what to do instead."""
    with pytest.raises(JournalLockedError) as refused:
        await SqliteStore(path).open()

    assert refused.value.pid == holder.pid
    assert str(holder.pid) in refused.value.what
    assert_helpful(refused.value)
    assert refused.value.retryable


async def test_a_process_that_was_killed_leaves_no_lock(holder: subprocess.Popen[str], path: Path):
    """What it committed is there, and the next owner knows that it died."""
    holder.kill()
    holder.wait()
    store = SqliteStore(path)

    info = await store.open()

    assert info.is_crash
    assert await store.run(run_id(5)) is not None
    await store.close()


async def test_a_reader_reads_beside_another_process(holder: subprocess.Popen[str], path: Path):
    """Looking at runs needs no lock and disturbs nobody."""
    reader = SqliteReader(path)

    await reader.open_read_only()

    assert await reader.run(run_id(5)) is not None
    await reader.close()


async def test_a_second_runtime_in_one_process_is_refused(sqlite: SqliteStore, path: Path):
    """It too would write behind the first one's back; by whatever name it comes to the file."""
    link = path.with_name("link.db")
    link.symlink_to(path)

    for name in (path, link, path.parent / "." / path.name):
        with pytest.raises(JournalLockedError) as refused:
            await SqliteStore(name).open()
        assert refused.value.pid == os.getpid()

    await sqlite.commit(batch(created=[run(1)]))


async def test_a_refused_second_leaves_the_lock_with_the_first(sqlite: SqliteStore, path: Path):
    """Being refused, and closing what was refused, gives up nothing of the owner's."""
    second = SqliteStore(path)
    with pytest.raises(JournalLockedError):
        await second.open()

    await second.close()

    with pytest.raises(JournalLockedError):
        await SqliteStore(path).open()


# Readers


async def test_a_reader_sees_commits_as_they_come(sqlite: SqliteStore, path: Path):
    """Each of its reads is of the last commit, and of nothing that isn't committed."""
    reader = SqliteReader(path)
    await reader.open_read_only()

    await sqlite.commit(batch(created=[run(1)], entries=journal(1, started())))
    assert len(await reader.journal(run_id(1))) == 1

    sqlite._connection.execute("BEGIN IMMEDIATE")
    sqlite._write(batch(entries=journal(1, outcome(), first=1)))
    assert len(await reader.journal(run_id(1))) == 1
    sqlite._connection.execute("COMMIT")

    assert len(await reader.journal(run_id(1))) == 2
    await reader.close()


async def test_a_reader_makes_no_file(path: Path):
    """Looking for runs where there are none leaves nothing behind, and says so."""
    with pytest.raises(StoreError) as refused:
        await SqliteReader(path).open_read_only()

    assert_helpful(refused.value)
    assert list(path.parent.glob("journal*")) == []


async def test_a_reader_reads_what_nobody_has_open(closed: Path):
    """A journal of a program that has ended is read as it was left."""
    reader = SqliteReader(closed)

    await reader.open_read_only()

    assert [entry.index for entry in await reader.journal(run_id(1))] == [0, 1]
    assert (await reader.last_entry(run_id(1))).index == 1
    await reader.close()


# Places that can't be written


async def test_a_place_that_cannot_be_a_directory_is_refused(tmp_path: Path):
    """The error says which place, and which setting names another."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError) as refused:
        await SqliteStore(tmp_path / "file" / "sub" / "journal.db").open()

    assert_helpful(refused.value)
    assert "AGNT5_HOME" in refused.value.fix


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a directory that nobody may write to")
@pytest.mark.parametrize("place", ["/proc/journal.db", "/proc/agnt5/journal.db"])
async def test_a_directory_that_not_even_root_may_write_to_is_refused(place: str):
    """Nothing can be locked or written there."""
    with pytest.raises(StoreError) as refused:
        await SqliteStore(Path(place)).open()

    assert_helpful(refused.value)
    assert "AGNT5_HOME" in refused.value.fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only directories")
async def test_a_read_only_directory_is_refused(tmp_path: Path):
    """Nothing can be locked or written there."""
    folder = tmp_path / "fixed"
    folder.mkdir(mode=0o500)

    with pytest.raises(StoreError) as refused:
        await SqliteStore(folder / "journal.db").open()

    assert_helpful(refused.value)
    assert "AGNT5_HOME" in refused.value.fix


async def test_a_journal_that_is_a_directory_is_refused(tmp_path: Path):
    """Whatever stands in its place, the error is one of ours."""
    with pytest.raises(StoreError) as refused:
        await SqliteStore(tmp_path).open()

    assert_helpful(refused.value)


async def test_a_full_disk_writes_nothing_and_passes(sqlite: SqliteStore):
    """The commit is refused whole; when there is space again, work goes on."""
    await sqlite.commit(batch(created=[run(1)], entries=journal(1, started())))
    pages = sqlite._connection.execute("PRAGMA page_count").fetchone()[0]
    sqlite._connection.execute(f"PRAGMA max_page_count = {pages}")
    big = batch(created=[run(2)], entries=journal(2, started('"' + "x" * 100_000 + '"')))

    with pytest.raises(StoreFull) as refused:
        await sqlite.commit(big)

    assert refused.value.is_aborted
    assert_helpful(refused.value)
    assert await sqlite.run(run_id(2)) is None
    sqlite._connection.execute("PRAGMA max_page_count = 1000000")
    await sqlite.commit(big)
    assert await sqlite.run(run_id(2)) is not None


async def test_another_program_that_writes_delays_but_breaks_nothing(sqlite: SqliteStore, path: Path):
    """A commit that can't get at the file is refused whole, and may be tried again."""
    sqlite._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError) as refused:
        await sqlite.commit(batch(created=[run(1)]))

    assert refused.value.is_aborted
    assert_helpful(refused.value)
    other.execute("ROLLBACK")
    other.close()
    await sqlite.commit(batch(created=[run(1)]))
