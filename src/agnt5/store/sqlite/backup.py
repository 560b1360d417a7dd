"""A copy of a journal as it is at one moment, made beside whoever writes to it.

The copy is made under another name, checked, and only then given its own: what bears that name is
whole. The one who writes is not kept from it, and the journal is only read.
"""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from agnt5.core.model.errors import InvalidInput, StoreCorrupt
from agnt5.store.sqlite.lock import JournalLock
from agnt5.store.sqlite.opening import absent, check_file, connect_read_only, error_of

PAGES: Final = 2_000  # Copied between two calls of `progress`; 8 MB, some ten milliseconds.
_OF_TARGET: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


class Copied(Struct, frozen=True):
    """What a backup holds."""

    runs: int
    bytes: int


def back_up(journal: Path, target: Path, *, replace: bool, progress: Callable[[int, int], None]) -> Copied:
    """Copy a journal.

    Args:
        journal: The file; another process may write to it.
        target: The copy, for its owner alone to read.
        replace: It may take the place of a file that is there.
        progress: Told how many pages have been copied, and of how many.

    Raises:
        InvalidInput: The target can't be meant.
        JournalLockedError: The target is a journal that a process uses.
        StoreError: The journal can't be read, or the copy not be written; there is no copy then.
    """
    if not journal.exists():
        raise absent(journal)
    check_file(journal, was_initialised=False)
    with _claimed(journal, target, replace=replace):
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            runs = _copy(journal, partial, progress)
            size = _give_name(partial, target, replace=replace)
        except FileExistsError as error:
            raise _is_there(target) from error
        except OSError as error:
            raise error_of(error, target) from error
        except sqlite3.Error as error:
            is_of_target = getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_TARGET
            raise error_of(error, target if is_of_target else journal) from error
        finally:
            for rest in (partial, partial.with_name(f"{partial.name}-journal")):
                rest.unlink(missing_ok=True)
    return Copied(runs, size)


@contextmanager
def _claimed(journal: Path, target: Path, *, replace: bool) -> Iterator[None]:
    """See that the target may be written; in the block no other process takes it for its journal."""
    if target.is_dir() or not target.parent.is_dir():
        raise InvalidInput(
            f"{target} can't be a backup",
            why="it is a directory" if target.is_dir() else f"there is no directory {target.parent}",
            fix="name a file in a directory that is there",
        )
    if not target.exists():
        yield
        return
    if target.samefile(journal):
        raise InvalidInput(f"{target} is the journal itself", why="a backup is another file", fix="name another file")
    if not replace:
        raise _is_there(target)
    lock = JournalLock(target.resolve())
    is_journal = target.with_name(f"{target.name}.lock").exists()
    if is_journal:
        lock.acquire()
    try:
        log = target.with_name(f"{target.name}-wal")
        if log.exists() and log.stat().st_size:
            raise InvalidInput(
                f"{target} can't be replaced: {log.name} lies beside it",
                why="it is a journal whose process died, and what that log holds would be mixed into the backup",
                fix="name another file, or move both away",
            )
        yield
    finally:
        lock.release()


def _is_there(target: Path) -> InvalidInput:
    return InvalidInput(
        f"{target} is there already", why="a backup takes the place of no file", fix="name another file, or add --force"
    )


def _copy(journal: Path, partial: Path, progress: Callable[[int, int], None]) -> int:
    """Copy all pages, as they are at one moment; returns the number of runs."""
    source, copy = connect_read_only(journal), sqlite3.connect(partial, isolation_level=None)
    try:
        # All is read in this transaction. Without it, the copy would begin anew with each commit of others.
        source.execute("BEGIN")
        [[runs]] = source.execute("SELECT count(*) FROM runs WHERE partition = 0")
        source.backup(copy, pages=PAGES, progress=lambda _, left, total: progress(total - left, total))
        # One file that is whole by itself; opened as a journal it has a log again.
        copy.execute("PRAGMA journal_mode = DELETE")
        found = copy.execute("PRAGMA quick_check(1)").fetchall()
        if found != [("ok",)]:
            raise StoreCorrupt(
                f"the journal {journal} is damaged, and was not copied: {found[0][0]}",
                why="the file was edited, or damaged on its disk",
                fix="`agnt5 store check` tells what of it is whole; keep the backups that you have",
                journal=str(journal),
            )
        # Whoever opens the copy doesn't take over from a process that died.
        copy.execute("UPDATE meta SET value = 'closed' WHERE name = 'owner'")
    finally:
        copy.close()
        source.close()
    return int(runs)


def _give_name(partial: Path, target: Path, *, replace: bool) -> int:
    size = partial.stat().st_size
    _sync(partial)
    if replace:
        partial.replace(target)
    else:
        # Unlike a rename, a link refuses to take the place of what came meanwhile.
        os.link(partial, target)
        partial.unlink()
    _sync(target.parent)
    return size


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
