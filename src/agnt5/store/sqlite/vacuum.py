"""Gives the free space of a journal file back to the disk, while no other process writes to it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from agnt5.store.sqlite.lock import JournalLock
from agnt5.store.sqlite.opening import BUSY_SECONDS, INCREMENTAL, absent, check_file, error_of

PAGES: Final = 1_000  # Given back between two calls of `progress`; each piece is a commit of its own.


class Vacuumed(Struct, frozen=True):
    """How large the file was, and is.

    Attributes:
        is_full: It was written anew, not only cut off.
    """

    before: int
    after: int
    is_full: bool


def vacuum(path: Path, *, is_full: bool, progress: Callable[[int, int], None]) -> Vacuumed:
    """Make a journal as small as it can be; whenever this is cut short, the journal is whole.

    Args:
        is_full: Write it anew, in order. That takes as much space again meanwhile.
        progress: Told how many pages have been given back, and of how many.

    Raises:
        JournalLockedError: Another process has it.
        StoreError: It can't be read or written.
    """
    path = path.expanduser().resolve()
    if not path.exists():
        raise absent(path)
    lock = JournalLock(path)
    said = lock.acquire()
    try:
        lock.write({name: value for name, value in said.items() if name != "pid"})
        check_file(path, was_initialised=False)
        before = path.stat().st_size
        was_full = _vacuum(path, is_full, progress)
        return Vacuumed(before, path.stat().st_size, was_full)
    except sqlite3.Error as error:
        raise error_of(error, path) from error
    finally:
        lock.release()


def _vacuum(path: Path, is_full: bool, progress: Callable[[int, int], None]) -> bool:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        [[mode]] = connection.execute("PRAGMA auto_vacuum")
        if is_full or mode != INCREMENTAL:
            # A file that wasn't made so can be cut off only after it was written anew.
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            connection.execute("VACUUM")
            is_full = True
        else:
            _cut_off(connection, progress)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
    return is_full


def _cut_off(connection: sqlite3.Connection, progress: Callable[[int, int], None]) -> None:
    [[total]] = connection.execute("PRAGMA freelist_count")
    left = total
    while left:
        connection.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        [[now]] = connection.execute("PRAGMA freelist_count")
        assert now < left, "each piece gives something back"
        left = now
        progress(total - left, total)
