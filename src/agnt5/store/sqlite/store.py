"""Runs in one SQLite file, written by one connection in one thread.

Every commit is one transaction and is on the disk when it returns: write-ahead log,
`synchronous=FULL`. Rows are written many to a statement, because Python's lock is given up for each
statement: that lets user code run while SQLite works, and costs a wait to get it back.
"""

import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from time import time_ns
from typing import Any, Final

from msgspec import Raw

from agnt5.core.engine.commands import Waiter
from agnt5.core.engine.state import Event, KeyUse
from agnt5.core.journal.codec import checksum, encode_body
from agnt5.core.model.errors import StoreError
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run
from agnt5.store.port import Aged, Batch, Heartbeat, Place, StoreInfo
from agnt5.store.records import COLUMNS, row_of
from agnt5.store.sqlite import removing
from agnt5.store.sqlite.lock import JournalLock
from agnt5.store.sqlite.opening import check_file, connect, error_of, make_directory, undo_half_made
from agnt5.store.sqlite.reader import _RUN, PARTITION, SqliteReader, readable
from agnt5.store.sqlite.watch import FileWatch, never_close

_CHUNKS: Final = (256, 64, 16, 4, 1)  # Rows to a statement; each size is prepared once.
_UPDATED: Final = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS if column != "id")
_INSERT_RUNS: Final = f"INSERT INTO runs (partition, {', '.join(COLUMNS)}) VALUES "
_UPSERT_RUNS: Final = f" ON CONFLICT (partition, id) DO UPDATE SET {_UPDATED}"
_INSERT_ENTRIES: Final = "INSERT INTO journal (partition, run_id, position, at, body, checksum) VALUES "
_OPEN: Final = "status IN ('queued', 'running', 'blocked')"  # As the index has it, so that SQLite uses it.


class SqliteStore(SqliteReader):
    """A journal file and its only writer.

    Args:
        path: The file; made, with its directory, where there is none.
    """

    def __init__(self, path: Path) -> None:
        # The lock belongs to the file, by whichever link it is reached.
        super().__init__(Path(path).expanduser().resolve())
        self._lock = JournalLock(self.path)
        self._watch = FileWatch(self.path)
        self._statements: dict[tuple[str, str, int], str] = {}

    async def open(self) -> StoreInfo:
        try:
            make_directory(self.path.parent)
        except OSError as error:
            raise error_of(error, self.path) from error
        said = self._lock.acquire()
        try:
            undo_half_made(self.path)
            check_file(self.path, was_initialised="store" in said)
            self._open_connection = connect(self.path)
            info = self._take_over()
            self._lock.write({"store": info.id})
            self._watch.start()
        except BaseException:
            await self.close()
            raise
        return info

    def _take_over(self) -> StoreInfo:
        with self._errors():
            known = dict(self._connection.execute("SELECT name, value FROM meta").fetchall())
            store_id = known.get("store_id", uuid.uuid4().hex)
            facts = {"store_id": store_id, "partitions": "1", "created_at": str(time_ns() // 1000)} | known
            rows = [*(facts | {"owner": "open"}).items()]
            self._connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", rows)
        return StoreInfo(store_id, is_crash=known.get("owner") == "open")

    async def mark_closed(self) -> None:
        self._watch.check()
        with self._errors():
            self._connection.execute("UPDATE meta SET value = 'closed' WHERE name = 'owner'")
        self._watch.note()

    async def close(self) -> None:
        if self._open_connection is not None and self._watch.is_displaced():
            # What there is now is somebody else's; the lock keeps others away until this process ends.
            never_close(self._open_connection)
            self._open_connection = None
            return
        await super().close()
        self._watch.stop()
        self._lock.release()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's lock; its connection is never touched."""
        self._lock.abandon()

    # Writing

    async def commit(self, batch: Batch) -> None:
        connection = self._connection
        self._watch.check()
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._write(batch)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            is_open = connection.in_transaction
            if is_open:
                try:
                    connection.execute("ROLLBACK")
                except sqlite3.Error as second:
                    raise error_of(second, self.path) from error
            raise self._meaning(error, is_rolled_back=is_open) from error
        self._watch.note()

    def _meaning(self, error: sqlite3.Error, is_rolled_back: bool) -> StoreError:
        meaning = error_of(error, self.path)
        if isinstance(error, sqlite3.IntegrityError) and is_rolled_back:
            # A broken rule of ours, and nothing was written.
            meaning.is_aborted = True
        return meaning

    def _write(self, batch: Batch) -> None:
        if batch.created:
            self._insert(_INSERT_RUNS, [(PARTITION, *row_of(run)) for run in batch.created])
        if batch.changed:
            self._insert(_INSERT_RUNS, [(PARTITION, *row_of(run)) for run in batch.changed], _UPSERT_RUNS)
        if batch.entries:
            rows = []
            for run_id, entry in batch.entries:
                body = encode_body(entry.body)
                rows.append((PARTITION, run_id, entry.index, entry.at, body.decode(), checksum(body)))
            self._insert(_INSERT_ENTRIES, rows)
        execute = self._connection.execute
        for run_id, first in batch.trimmed:
            execute("DELETE FROM journal WHERE partition = 0 AND run_id = ? AND position < ?", (run_id, first))
        for target in batch.served:
            execute("DELETE FROM waiters WHERE partition = 0 AND target = ?", (target,))
        self._write_rest(batch)

    def _write_rest(self, batch: Batch) -> None:
        if batch.waiters:
            self._insert(
                "INSERT OR REPLACE INTO waiters (partition, target, run_id, life, op, key, scope, site) VALUES ",
                [(PARTITION, w.target, w.run_id, w.life, w.op, w.key, w.scope, w.site) for w in batch.waiters],
            )
        if batch.events:
            self._insert(
                "INSERT INTO events (partition, id, at, payload) VALUES ",
                [(PARTITION, event.id, event.at, _text(event.payload)) for event in batch.events],
            )
        if batch.keys:
            self._insert(
                "INSERT INTO idempotency_keys (partition, component, key, run_id, input_digest) VALUES ",
                [(PARTITION, use.component, use.key, use.run_id, use.input_digest) for use in batch.keys],
            )
        for component, key, run_id in batch.retaken:
            self._connection.execute(
                "UPDATE idempotency_keys SET run_id = ? WHERE partition = 0 AND component = ? AND key = ?",
                (run_id, component, key),
            )
        if batch.heartbeats:
            # Of several in one batch the last counts, and a statement may name a row only once.
            last = {(beat.run_id, beat.key): beat for beat in batch.heartbeats}
            self._insert(
                "INSERT OR REPLACE INTO heartbeats (partition, run_id, key, attempt, details) VALUES ",
                [(PARTITION, b.run_id, b.key, b.attempt, _text(b.details)) for b in last.values()],
            )
        for removal in batch.removed:
            removing.remove(self._connection, removal)
        for place in batch.unwaited:
            removing.unwait(self._connection, place)
        for event_id in batch.forgotten:
            removing.forget(self._connection, event_id)

    def _insert(self, head: str, rows: Sequence[tuple[Any, ...]], tail: str = "") -> None:
        width = len(rows[0])
        start = 0
        for chunk in _CHUNKS:
            while len(rows) - start >= chunk:
                values = [value for row in rows[start : start + chunk] for value in row]
                self._connection.execute(self._statement(head, tail, width, chunk), values)
                start += chunk

    def _statement(self, head: str, tail: str, width: int, chunk: int) -> str:
        place = (head, tail, chunk)
        sql = self._statements.get(place)
        if sql is None:
            row = f"({', '.join('?' * width)})"
            sql = self._statements[place] = f"{head}{', '.join([row] * chunk)}{tail}"
        return sql

    # Reading what only the owner needs

    async def heartbeats(self, run_id: RunId) -> list[Heartbeat]:
        rows = self._all("SELECT * FROM heartbeats WHERE partition = 0 AND run_id = ?", run_id)
        return [Heartbeat(row["run_id"], row["key"], row["attempt"], Raw(row["details"].encode())) for row in rows]

    async def event(self, event_id: str) -> Event | None:
        rows = self._all("SELECT * FROM events WHERE partition = 0 AND id = ?", event_id)
        return Event(event_id, Raw(rows[0]["payload"].encode()), rows[0]["at"]) if rows else None

    async def waiters(self, target: str) -> list[Waiter]:
        rows = self._all("SELECT * FROM waiters WHERE partition = 0 AND target = ?", target)
        return [
            Waiter(target, row["run_id"], row["life"], row["op"], row["key"], row["scope"], row["site"]) for row in rows
        ]

    async def key_use(self, component: str, key: str) -> KeyUse | None:
        rows = self._all(
            "SELECT * FROM idempotency_keys WHERE partition = 0 AND component = ? AND key = ?", component, key
        )
        return KeyUse(component, key, rows[0]["run_id"], rows[0]["input_digest"]) if rows else None

    async def live_children(self, run_id: RunId) -> list[RunId]:
        rows = self._all(
            "SELECT id FROM runs WHERE partition = 0 AND parent = ? "
            "AND status NOT IN ('completed', 'failed', 'cancelled')",
            run_id,
        )
        return [row["id"] for row in rows]

    async def running(self, after: RunId | None, limit: int) -> list[Run]:
        return self._open_runs("running", "id > ?", after or "", limit)

    async def queued(self, component: str, limit: int) -> list[Run]:
        return self._open_runs("queued", "component = ? AND wake_at IS NULL", component, limit)

    async def blocked(self, component: str, limit: int) -> list[Run]:
        return self._open_runs("blocked", "component = ?", component, limit)

    def _open_runs(self, status: str, where: str, value: str, limit: int) -> list[Run]:
        """Runs by id; those whose record can't be read are left aside, and others take their places."""
        sql = f"{_RUN} AND {_OPEN} AND status = '{status}' AND {where} ORDER BY id LIMIT ?"
        aside = 0
        while True:
            rows = self._all(sql, value, limit + aside)
            runs = readable(rows)
            if len(runs) >= limit or len(rows) < limit + aside:
                return runs[:limit]
            aside = len(rows) - len(runs)

    async def queued_components(self) -> list[str]:
        rows = self._all(
            f"SELECT DISTINCT component FROM runs WHERE partition = 0 AND {_OPEN} AND status = 'queued' "
            "AND wake_at IS NULL"
        )
        return [row["component"] for row in rows]

    async def due(self, until: int, limit: int) -> list[tuple[int, RunId]]:
        rows = self._all(
            "SELECT wake_at, id FROM runs WHERE partition = 0 AND wake_at IS NOT NULL AND wake_at <= ? "
            "ORDER BY wake_at LIMIT ?",
            until,
            limit,
        )
        return [(row["wake_at"], row["id"]) for row in rows]

    async def aged(self, after: RunId | None, before: RunId, limit: int) -> list[Aged]:
        with self._errors():
            return removing.aged(self._connection, after, before, limit)

    async def remains(self) -> Aged | None:
        with self._errors():
            return removing.remains(self._connection)

    async def waits(self, after: Place | None, limit: int) -> list[tuple[Place, bool]]:
        with self._errors():
            return removing.waits(self._connection, after, limit)

    async def event_times(self, after: str, limit: int) -> list[tuple[str, int]]:
        with self._errors():
            return removing.event_times(self._connection, after, limit)


def _text(raw: Raw) -> str:
    return bytes(raw).decode()
