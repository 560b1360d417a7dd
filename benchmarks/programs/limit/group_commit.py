"""Group commit and nothing else: rows from many tasks, written by one thread, many to a transaction.

    tasks ──append──▶ queue ──▶ writer thread: BEGIN, all that is there, COMMIT ──▶ wakes the tasks

A task goes on only once its row is on the disk, as a durable run must. The rows are those that
agnt5 writes, of about the same length and in tables of the same keys; there is no engine that
decides on them, no replay, no codec, no recovery and no check of anything.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH_MAX = 2_000
SITE = "/home/someone/project/app/workflows.py:20"  # Of a usual length.
SCHEMA = """
CREATE TABLE runs (id TEXT PRIMARY KEY, component TEXT, status TEXT, created_at INTEGER, ended_at INTEGER)
WITHOUT ROWID;
CREATE TABLE journal (run_id TEXT, position INTEGER, at INTEGER, body TEXT, checksum INTEGER,
PRIMARY KEY (run_id, position)) WITHOUT ROWID;
"""
Write = Callable[[list[Any]], None]


class GroupCommit:
    """A thread that writes what tasks of the running loop append.

    Args:
        make: Called on that thread, once; returns what writes a batch durably.
    """

    def __init__(self, make: Callable[[], Write]) -> None:
        self._make = make
        self._queue: queue.SimpleQueue[tuple[Any, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main)
        self._thread.start()

    def append(self, item: Any) -> asyncio.Future[None]:
        """Have something written; await that it is durable."""
        future = self._loop.create_future()
        self._queue.put((item, future))
        return future

    def close(self) -> None:
        """End the thread."""
        self._queue.put(None)
        self._thread.join()

    def _main(self) -> None:
        write = self._make()
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < BATCH_MAX and not self._queue.empty():
                found = self._queue.get()
                if found is None:
                    self._queue.put(None)
                    break
                batch.append(found)
            write([item for item, _ in batch])
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in batch])


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


# In plain SQL


def connect(path: Path) -> sqlite3.Connection:
    """An empty journal, as durable as ours."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.executescript(SCHEMA)
    return connection


def writer(path: Path) -> Write:
    """What writes items of `started`, `outcome` and `ended` in one transaction."""
    connection = connect(path)

    def write(items: list[Any]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        runs = [run for run, _ in items if run is not None]
        if runs:
            connection.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", runs)
        connection.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, 0)", [entry for _, entry in items])
        connection.execute("COMMIT")

    return write


Item = tuple[tuple[Any, ...] | None, tuple[str, int, int, str]]


def started(run_id: str, value: int) -> Item:
    """A new run: its record, and its first entry."""
    now = time.time_ns() // 1000
    body = f'{{"type":"started","component":"in_a_row","input":{{"value":{value}}}}}'
    return (run_id, "in_a_row", "running", now, 0), (run_id, 0, now, body)


def outcome(run_id: str, op: int, value: int, result: int) -> Item:
    """The outcome of a step."""
    now = time.time_ns() // 1000
    body = (
        f'{{"type":"outcome","op":{op},"key":"{value:024x}","kind":"step","name":"increment","args":{{"value":{value}}},'
        f'"result":{result},"began":{now},"ended":{now},"site":"{SITE}"}}'
    )
    return None, (run_id, op + 1, now, body)


def ended(run_id: str, position: int, result: int) -> Item:
    """The outcome of a run: its record again, and its last entry."""
    now = time.time_ns() // 1000
    body = f'{{"type":"ended","status":"completed","result":{result}}}'
    return (run_id, "in_a_row", "completed", now, now), (run_id, position, now, body)
