"""Opening a journal file: is it one, is it whole, is it of a version we know, and is it up to date."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agnt5.core.model.errors import StoreCorrupt, StoreError, StoreFull, StoreTooNew

APPLICATION_ID: Final = 0x61676E35  # "agn5", by which `file` and others tell what a file is.
BUSY_SECONDS: Final = 5.0
# Pages of the write-ahead log before it is copied into the file; 16 MB. The default of 1,000 copies
# four times as often, each time with two more fsyncs in the middle of a commit.
CHECKPOINT_PAGES: Final = 4_000
CACHE_KIB: Final = 16_384
INCREMENTAL: Final = 2  # Space is given back in small pieces.
_HEADER_BYTES: Final = 100  # https://www.sqlite.org/fileformat.html, section 1.3.
_LOG_HEADER_BYTES: Final = 32  # The same page, section 4.1.
_FRAME_HEADER_BYTES: Final = 24


def migrations() -> list[tuple[int, str]]:
    """The numbered steps from an empty file to the current schema."""
    folder = Path(__file__).parent / "migrations"
    return sorted((int(item.name[:4]), item.read_text()) for item in folder.glob("*.sql"))


def make_directory(path: Path) -> None:
    """Make a directory, and what leads to it, so that a power loss doesn't take them away with what is in them."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for place in missing:
        above = os.open(place.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(above)
        finally:
            os.close(above)


def undo_half_made(path: Path) -> None:
    """Let SQLite take back what a power loss has cut short before there was a write-ahead log: the file's making."""
    undo = path.with_name(f"{path.name}-journal")
    if not (path.exists() and undo.exists() and undo.stat().st_size):
        return
    connection = sqlite3.connect(path)
    # What is wrong beyond that is for `check_file` to say.
    with suppress(sqlite3.Error):
        connection.execute("SELECT count(*) FROM sqlite_master")
    connection.close()


def check_file(path: Path, was_initialised: bool) -> None:
    """Look at a journal file before anything is written to it.

    Args:
        was_initialised: Its lock says that it once was a journal.

    Raises:
        StoreCorrupt: It is cut off, or isn't a journal.
        StoreTooNew: A later version wrote it.
        StoreError: It can't be read.
    """
    size = path.stat().st_size if path.exists() else 0
    if size == 0:
        if was_initialised:
            raise _corrupt(path, "it is empty or gone, though it has been in use")
        return
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError as error:
        raise error_of(error, path) from error
    if header[:16] != b"SQLite format 3\0":
        raise _corrupt(path, "it isn't an SQLite file")
    page_bytes = int.from_bytes(header[16:18], "big") or 1
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    pages = int.from_bytes(header[28:32], "big")
    # Copying the log into the file begins with the first page, which has the new size in it. Cut short by
    # a crash or a full disk, that leaves a file that is too short, and whole together with its log.
    if size < pages * page_bytes and not _pages_in_log(path).issuperset(range(size // page_bytes + 1, pages + 1)):
        raise _corrupt(path, "it is shorter than it says it is")
    _check_identity(path)


def _pages_in_log(path: Path) -> set[int]:
    """The numbers of the pages that the write-ahead log holds."""
    log = path.with_name(f"{path.name}-wal")
    content = log.read_bytes() if log.exists() else b""
    frame_bytes = _FRAME_HEADER_BYTES + int.from_bytes(content[8:12], "big")
    starts = range(_LOG_HEADER_BYTES, len(content) - frame_bytes + 1, frame_bytes)
    # Frames of an earlier log, which this one overwrites, have other salts.
    current = (start for start in starts if content[start + 8 : start + 16] == content[16:24])
    return {int.from_bytes(content[start : start + 4], "big") for start in current}


def _check_identity(path: Path) -> None:
    # Read-only: a file of a later version is left exactly as it is.
    try:
        connection = connect_read_only(path)
    except sqlite3.Error as error:
        raise error_of(error, path) from error
    try:
        [[application]] = connection.execute("PRAGMA application_id")
        [[version]] = connection.execute("PRAGMA user_version")
        [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        raise error_of(error, path) from error
    finally:
        connection.close()
    if application != APPLICATION_ID and tables:
        raise _corrupt(path, "it is an SQLite file of another program")
    newest = migrations()[-1][0]
    if version > newest:
        raise StoreTooNew(
            f"the journal {path} has schema version {version}, and this agnt5 knows versions up to {newest}",
            why="a later version of agnt5 has used it",
            fix="upgrade: pip install --upgrade agnt5-runtime; the journal was not changed",
            version=version,
            newest=newest,
        )


def absent(path: Path, said: str = "there is no journal at") -> StoreError:
    """The error for a file that isn't there, or in which nothing is."""
    return StoreError(
        f"{said} {path.absolute()}",
        why="no run was made with this journal, or it is kept elsewhere",
        fix="say where it is: --store sqlite:///FILE, or AGNT5_HOME=DIRECTORY",
        journal=str(path),
    )


@contextmanager
def looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """A journal as it is at one moment, however long that is looked at and whatever is written meanwhile.

    Raises:
        StoreError: There is none, or it can't be read.
    """
    if not path.exists():
        raise absent(path)
    check_file(path, was_initialised=False)
    try:
        connection = connect_read_only(path)
        try:
            connection.execute("BEGIN")
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchall():
                raise absent(path, "nothing has been written yet to the journal")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise error_of(error, path) from error


def text_of(written: bytes) -> str:
    """A column's text; what was damaged and is none any more becomes one that nothing can decode."""
    return written.decode("utf-8", "surrogateescape")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the file for reading, beside whoever writes it.

    Raises:
        sqlite3.Error: It can't be.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        connection.close()
        log = path.with_name(f"{path.name}-wal")
        is_refused = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        if not is_refused or (log.exists() and log.stat().st_size):
            raise
        # SQLite wants to write beside the file even to read it, and may not. Without a log the file is whole,
        # and nobody is writing it.
        return sqlite3.connect(f"{uri}&immutable=1", uri=True)
    except BaseException:
        connection.close()
        raise
    return connection


def _corrupt(path: Path, said: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"the journal {path} can't be used: {said}",
        why="it was cut off, overwritten, or is another program's file",
        fix=f"restore it from a backup, or move {path.name} and its -wal and -shm files away to start afresh",
        journal=str(path),
    )


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing, with every commit on the disk before it returns, and bring it up to date.

    Raises:
        StoreError: It can't be opened, written or migrated.
    """
    try:
        if not path.exists():
            # For nobody else to read, whatever the umask says.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256)
    except (sqlite3.Error, OSError) as error:
        raise error_of(error, path) from error
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = text_of
        [[vacuum]] = connection.execute("PRAGMA auto_vacuum")
        if vacuum != INCREMENTAL:
            # Said again it would be written again, to a file of which nothing is known to be whole.
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        [[mode]] = connection.execute("PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise StoreError(
                f"the journal {path} can't use a write-ahead log (its mode is {mode})",
                why="its file system lacks shared memory or locks, as some network file systems do",
                fix="put the journal on a local disk: set AGNT5_HOME",
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        _migrate(connection)
    except sqlite3.Error as error:
        connection.close()
        raise error_of(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    [[version]] = connection.execute("PRAGMA user_version")
    for number, script in migrations():
        if number <= version:
            continue
        # One transaction a step: a crash leaves the file at a version, never between two.
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def statements(script: str) -> list[str]:
    """The statements of a migration; they hold no semicolon but at their end."""
    lines = [line.partition("--")[0] for line in script.splitlines()]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]


def error_of(error: Exception, path: Path) -> StoreError:
    """What an error of the driver means for the one who uses the store."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, OSError) or code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(
            f"the journal {path} can't be opened or written: {error}",
            why="its directory is read-only, missing, or belongs to somebody else",
            fix="set AGNT5_HOME to a directory that this process may write to",
            journal=str(path),
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(
            f"there is no space left for the journal {path}",
            why="the disk or the quota is full",
            fix="free some space; what was acknowledged is safe, and work goes on by itself",
            journal=str(path),
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _corrupt(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        busy = StoreError(
            f"the journal {path} is locked by another program for more than {BUSY_SECONDS} s",
            why="something else writes to the file, such as an SQLite shell with an open transaction",
            fix="end that transaction; only agnt5 may write to a journal",
            journal=str(path),
        )
        busy.is_aborted = True
        return busy
    return StoreError(
        f"the journal {path} failed: {error}",
        why="the disk or its file system reported an error; whether the last commit was written is unknown",
        fix="look at the system's log, then start again: the journal itself tells what was written",
        journal=str(path),
    )
