"""Reading a journal file: by its owner, or by others beside it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from agnt5.core.journal.codec import checksum, decode_body
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import StoreCorrupt, StoreError
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run
from agnt5.store.port import RunFilter
from agnt5.store.records import COLUMNS, run_of
from agnt5.store.sqlite.opening import check_file, connect_read_only, error_of

PARTITION: Final = 0

# With the end of the run's journal: where it goes on, and the time it has come to.
_RUN: Final = (
    f"SELECT {', '.join(COLUMNS)}, "
    "(SELECT max(position) FROM journal j WHERE j.partition = r.partition AND j.run_id = r.id) AS position, "
    "(SELECT at FROM journal j WHERE j.partition = r.partition AND j.run_id = r.id ORDER BY position DESC LIMIT 1) "
    "AS stamp FROM runs r WHERE r.partition = 0"
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
                raise self._absent("there is no journal at")
        except OSError as error:
            raise error_of(error, self.path) from error
        check_file(self.path, was_initialised=False)
        with self._errors():
            self._open_connection = connect_read_only(self.path)
            self._open_connection.row_factory = sqlite3.Row
        if not self._all("SELECT 1 FROM sqlite_master WHERE name = 'runs'"):
            await self.close()
            raise self._absent("nothing has been written yet to the journal")

    def _absent(self, said: str) -> StoreError:
        return StoreError(
            f"{said} {self.path.absolute()}",
            why="no run was made with this journal, or it is kept elsewhere",
            fix="say where it is: --store sqlite:///FILE, or AGNT5_HOME=DIRECTORY",
            journal=str(self.path),
        )

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
            "SELECT position, at, body, checksum FROM journal WHERE partition = 0 AND run_id = ? ORDER BY position",
            run_id,
        )
        return [_entry(run_id, row) for row in rows]

    async def last_entry(self, run_id: RunId) -> Entry:
        [row] = self._all(
            "SELECT position, at, body, checksum FROM journal WHERE partition = 0 AND run_id = ? "
            "ORDER BY position DESC LIMIT 1",
            run_id,
        )
        return _entry(run_id, row)

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
        return [_run(row) for row in self._all(f"{_RUN}{where} ORDER BY r.id DESC LIMIT ?", *values, wanted.limit)]

    async def run_ids(self, prefix: str, limit: int) -> list[RunId]:
        rows = self._all(
            "SELECT id FROM runs WHERE partition = 0 AND id >= ? AND id < ? ORDER BY id LIMIT ?",
            prefix,
            f"{prefix}g",  # Ids are hexadecimal, and this sorts after every digit.
            limit,
        )
        return [row["id"] for row in rows]

    async def children(self, run_id: RunId) -> list[Run]:
        return [_run(row) for row in self._all(f"{_RUN} AND r.parent = ? ORDER BY r.id", run_id)]

    async def close(self) -> None:
        if self._open_connection is not None:
            self._open_connection.close()
            self._open_connection = None


def _run(row: sqlite3.Row) -> Run:
    position = row["position"]
    return run_of(row, position + 1 if position is not None else 0, row["stamp"] or 0)


def _entry(run_id: RunId, row: sqlite3.Row) -> Entry:
    body = row["body"].encode()
    if checksum(body) != row["checksum"]:
        raise StoreCorrupt(
            f"entry {row['position']} of run {run_id} isn't what was written: its checksum differs",
            why="the file was edited or damaged on its disk",
            fix="restore the journal from a backup; the other runs go on meanwhile",
            run_id=run_id,
            position=row["position"],
        )
    return Entry(row["position"], row["at"], decode_body(body))
