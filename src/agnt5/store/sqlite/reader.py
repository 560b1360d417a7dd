"""Reading a journal file: by its owner, or by others beside it."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from agnt5.core.journal.codec import checksum, decode_body
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import StoreCorrupt
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run
from agnt5.store.port import RunFilter
from agnt5.store.records import COLUMNS, run_of
from agnt5.store.sqlite.opening import absent, check_file, connect_read_only, error_of, text_of

LOGGER = logging.getLogger("agnt5.store")
PARTITION: Final = 0

# With the end of the run's journal: where it goes on, and the time it has come to.
_RUN: Final = (
    f"SELECT {', '.join(COLUMNS)}, "
    "(SELECT max(position) FROM journal j WHERE j.partition = r.partition AND j.run_id = r.id) AS position, "
    "(SELECT at FROM journal j WHERE j.partition = r.partition AND j.run_id = r.id ORDER BY position DESC LIMIT 1) "
    "AS stamp FROM runs r WHERE r.partition = 0"
)

# The bytes as they are: what was damaged may be no text any more, and is for the checksum to find.
ENTRIES: Final = (
    "SELECT position, at, CAST(body AS BLOB) AS body, checksum FROM journal WHERE partition = 0 AND run_id = ?"
)


class SqliteReader:
    """Reads one journal file over its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open_connection: sqlite3.Connection | None = None

    async def open_read_only(self) -> None:
        """Open the file beside whoever writes to it.

        Raises:
            StoreError: There is none, or it can't be read.
        """
        try:
            if not self.path.exists():
                raise absent(self.path)
        except OSError as error:
            raise error_of(error, self.path) from error
        check_file(self.path, was_initialised=False)
        with self._errors():
            self._open_connection = connect_read_only(self.path)
            self._open_connection.row_factory = sqlite3.Row
            self._open_connection.text_factory = text_of
        if not self._all("SELECT 1 FROM sqlite_master WHERE name = 'runs'"):
            await self.close()
            raise absent(self.path, "nothing has been written yet to the journal")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read in the block is of one moment, whatever is written meanwhile."""
        with self._errors():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with self._errors():
                self._connection.execute("ROLLBACK")

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._open_connection is not None, "a store is opened before it is used"
        return self._open_connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise error_of(error, self.path) from error

    def _all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._errors():
            return self._connection.execute(sql, values).fetchall()

    async def run(self, run_id: RunId) -> Run | None:
        rows = self._all(f"{_RUN} AND r.id = ?", run_id)
        return _run(rows[0]) if rows else None

    async def journal(self, run_id: RunId) -> list[Entry]:
        rows = self._all(
            f"{ENTRIES} ORDER BY position",
            run_id,
        )
        return [entry_of(run_id, row) for row in rows]

    async def last_entry(self, run_id: RunId) -> Entry:
        [row] = self._all(
            f"{ENTRIES} ORDER BY position DESC LIMIT 1",
            run_id,
        )
        return entry_of(run_id, row)

    async def runs(self, wanted: RunFilter) -> list[Run]:
        clauses, values = [], []
        if wanted.status is not None:
            clauses.append("r.status = ?")
            values.append(wanted.status.value)
        if wanted.component is not None:
            clauses.append("r.component = ?")
            values.append(wanted.component)
        if wanted.tag is not None:
            clauses.append("EXISTS (SELECT 1 FROM json_each(r.tags) t WHERE t.value = ?)")
            values.append(wanted.tag)
        if wanted.before is not None:
            clauses.append("r.id < ?")
            values.append(wanted.before)
        where = "".join(f" AND {clause}" for clause in clauses)
        return readable(self._all(f"{_RUN}{where} ORDER BY r.id DESC LIMIT ?", *values, wanted.limit))

    async def run_ids(self, prefix: str, limit: int) -> list[RunId]:
        rows = self._all(
            "SELECT id FROM runs WHERE partition = 0 AND id >= ? AND id < ? ORDER BY id LIMIT ?",
            prefix,
            f"{prefix}g",  # Ids are hexadecimal, and this sorts after every digit.
            limit,
        )
        return [row["id"] for row in rows]

    async def children(self, run_id: RunId) -> list[Run]:
        return readable(self._all(f"{_RUN} AND r.parent = ? ORDER BY r.id", run_id))

    async def close(self) -> None:
        if self._open_connection is not None:
            self._open_connection.close()
            self._open_connection = None


def readable(rows: list[sqlite3.Row]) -> list[Run]:
    """The records of these rows; one that can't be read is left aside, and hides none of the others."""
    runs = []
    for row in rows:
        try:
            runs.append(_run(row))
        except StoreCorrupt as error:
            LOGGER.error("a run is left aside: %s", error.what)
    return runs


def _run(row: sqlite3.Row) -> Run:
    position = row["position"]
    return run_of(row, position + 1 if position is not None else 0, row["stamp"] or 0)


def entry_of(run_id: RunId, row: sqlite3.Row) -> Entry:
    """The entry that a row of `ENTRIES` holds.

    Raises:
        StoreCorrupt: It isn't what was written.
    """
    body = row["body"]
    if body is None or checksum(body) != row["checksum"]:
        raise StoreCorrupt(
            f"entry {row['position']} of run {run_id} isn't what was written: its checksum differs",
            why="the file was edited or damaged on its disk",
            fix="restore the journal from a backup; the other runs go on meanwhile",
            run_id=run_id,
            position=row["position"],
        )
    return Entry(row["position"], row["at"], decode_body(body))
