"""Journal files of other versions, and journal files that were cut off, edited or replaced."""

import os
from pathlib import Path
from typing import Final

import pytest

from agnt5.core.model.errors import StoreCorrupt, StoreTooNew
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.opening import APPLICATION_ID, migrations, statements
from agnt5.store.sqlite.reader import SqliteReader
from agnt5.store.sqlite.store import SqliteStore

from .files import assert_helpful, contents, edit
from .making import batch, journal, run, run_id, started

NEWEST: Final = migrations()[-1][0]


# Versions


async def test_a_fresh_file_has_the_newest_version(sqlite: SqliteStore):
    """Its header tells what it is and of which version."""
    assert sqlite._connection.execute("PRAGMA user_version").fetchone()[0] == NEWEST
    assert sqlite._connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert [number for number, _ in migrations()] == list(range(1, NEWEST + 1)), "numbers have no gaps"


@pytest.mark.parametrize("version", range(NEWEST))
async def test_an_earlier_version_is_brought_up_to_date(path: Path, version: int):
    """Each step is applied to what the steps before have left."""
    steps = [sql for number, script in migrations() if number <= version for sql in statements(script)]
    identity = [f"PRAGMA application_id = {APPLICATION_ID}"] if version else []
    edit(path, "PRAGMA journal_mode = WAL", *steps, *identity, f"PRAGMA user_version = {version}")
    store = SqliteStore(path)

    await store.open()
    await store.commit(batch(created=[run(1)], entries=journal(1, started())))

    assert store._connection.execute("PRAGMA user_version").fetchone()[0] == NEWEST
    assert len(await store.journal(run_id(1))) == 1
    await store.close()


async def test_a_newer_version_is_refused_and_left_as_it_is(closed: Path):
    """Not one byte of the file changes; the error names both versions."""
    edit(closed, f"PRAGMA user_version = {NEWEST + 1}")
    before = contents(closed)

    with pytest.raises(StoreTooNew) as refused:
        await SqliteStore(closed).open()

    assert contents(closed) == before
    assert_helpful(refused.value)
    assert (refused.value.version, refused.value.newest) == (NEWEST + 1, NEWEST)


async def test_a_reader_refuses_a_newer_version_too(closed: Path):
    """It might read what it doesn't understand."""
    edit(closed, f"PRAGMA user_version = {NEWEST + 1}")

    with pytest.raises(StoreTooNew):
        await SqliteReader(closed).open_read_only()


# Damage


def cut_off(path: Path) -> None:
    """Lose the end of the file."""
    os.truncate(path, path.stat().st_size // 2)


def cut_off_in_its_header(path: Path) -> None:
    """Lose all but the first bytes."""
    os.truncate(path, 50)


def empty(path: Path) -> None:
    """Lose all of it."""
    os.truncate(path, 0)


def remove(path: Path) -> None:
    """Lose even its name; the lock that stays tells that there was one."""
    path.unlink()


def overwrite(path: Path) -> None:
    """Put something else in its place."""
    path.write_bytes(os.urandom(path.stat().st_size))


def overwrite_behind_the_header(path: Path) -> None:
    """Leave the first page, which tells what it is, and nothing else."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def replace_by_another_programs(path: Path) -> None:
    """Put an SQLite file of another program in its place."""
    path.unlink()
    edit(path, "CREATE TABLE notes (text TEXT)")


def restore(path: Path, content: bytes) -> None:
    """Put a backup in its place."""
    path.write_bytes(content)


DAMAGES = (
    cut_off,
    cut_off_in_its_header,
    empty,
    remove,
    overwrite,
    overwrite_behind_the_header,
    replace_by_another_programs,
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_a_damaged_file_is_refused_and_left_as_it_is(closed: Path, damage):
    """It may be all that is left of the data: nothing is repaired, created or overwritten."""
    damage(closed)
    before = contents(closed)

    with pytest.raises(StoreCorrupt) as refused:
        await SqliteStore(closed).open()

    assert contents(closed) == before
    assert_helpful(refused.value)
    assert str(closed) in refused.value.what


async def test_a_damaged_file_stays_unlocked(closed: Path):
    """Once it is restored it can be opened, by the same process too."""
    good = contents(closed)[closed.name]
    overwrite(closed)
    with pytest.raises(StoreCorrupt):
        await SqliteStore(closed).open()

    restore(closed, good)
    store = SqliteStore(closed)
    await store.open()

    assert len(await store.journal(run_id(1))) == 2
    await store.close()


async def test_an_entry_that_was_edited_is_found(closed: Path):
    """Its checksum differs; the error names run and entry, and other runs are read as ever."""
    edit(closed, """UPDATE journal SET body = replace(body, 'txn', 'tax') WHERE position = 1""")
    store = SqliteStore(closed)
    await store.open()

    with pytest.raises(StoreCorrupt) as found:
        await store.journal(run_id(1))

    assert_helpful(found.value)
    assert (found.value.run_id, found.value.position) == (run_id(1), 1)
    assert len(await store.runs(RunFilter())) == 3
    await store.close()


async def test_an_entry_of_another_sort_is_found(closed: Path):
    """One whose checksum fits but which no agnt5 wrote can't be read as something else."""
    edit(closed, """UPDATE journal SET body = '{"type":"surprise"}', checksum = 3131152349 WHERE position = 1""")
    store = SqliteStore(closed)
    await store.open()

    with pytest.raises(StoreCorrupt):
        await store.journal(run_id(1))

    await store.close()


@pytest.mark.parametrize(
    "change",
    ["status = 'dancing'", "waiting = '{'", "link = '[]'", "tags = '{}'"],
)
async def test_a_record_that_was_edited_is_found(closed: Path, change: str):
    """A column that isn't one of ours is no reason to guess."""
    edit(closed, f"UPDATE runs SET {change} WHERE id = '{run_id(2)}'")
    store = SqliteStore(closed)
    await store.open()

    with pytest.raises(StoreCorrupt) as found:
        await store.run(run_id(2))

    assert_helpful(found.value)
    assert found.value.run_id == run_id(2)
    assert await store.run(run_id(3)) is not None
    await store.close()
