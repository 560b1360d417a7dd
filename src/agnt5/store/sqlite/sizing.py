"""Measures what a journal file holds: of which components, in which states, and how much of it is free."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from agnt5.store.sqlite.opening import looking_at
from agnt5.store.sqlite.removing import REMOVED

PAGE: Final = 1_000  # Runs that are measured between two calls of `progress`.


class Share(Struct):
    """What runs of one component in one state take.

    Attributes:
        bytes: Of their records and entries; pages and indexes around them come on top.
    """

    component: str
    status: str
    runs: int = 0
    entries: int = 0
    bytes: int = 0


class Sizes(Struct):
    """What a journal takes.

    Attributes:
        file_bytes: The file; the space that others see.
        log_bytes: The write-ahead log beside it, which is used again and again.
        free_bytes: Of the file, what the journal will use before it grows; `vacuum` gives it back.
        removing: Entries of runs that are being removed.
    """

    file_bytes: int
    log_bytes: int
    free_pages: int = 0
    free_bytes: int = 0
    shares: list[Share] = []
    events: int = 0
    event_bytes: int = 0
    keys: int = 0
    removing: int = 0


def measure(path: Path, progress: Callable[[int, int], None]) -> Sizes:
    """Measure a journal, beside whoever writes to it.

    Args:
        progress: Told how many runs have been measured, and of how many.

    Raises:
        StoreError: It can't be read.
    """
    with looking_at(path) as connection:
        log = path.with_name(f"{path.name}-wal")
        sizes = Sizes(path.stat().st_size, log.stat().st_size if log.exists() else 0)
        _measure_rest(connection, sizes)
        sizes.shares = _shares(connection, progress)
    return sizes


def _measure_rest(connection: sqlite3.Connection, sizes: Sizes) -> None:
    [[sizes.free_pages]] = connection.execute("PRAGMA freelist_count")
    [[page_bytes]] = connection.execute("PRAGMA page_size")
    sizes.free_bytes = sizes.free_pages * page_bytes
    [[sizes.events, sizes.event_bytes]] = connection.execute(
        "SELECT count(*), ifnull(sum(length(CAST(payload AS BLOB))), 0) FROM events WHERE partition = 0"
    )
    [[sizes.keys]] = connection.execute("SELECT count(*) FROM idempotency_keys WHERE partition = 0")
    [[sizes.removing]] = connection.execute(
        "SELECT count(*) FROM journal WHERE partition = 0 "
        f"AND run_id IN (SELECT id FROM runs WHERE partition = {REMOVED})"
    )


def _shares(connection: sqlite3.Connection, progress: Callable[[int, int], None]) -> list[Share]:
    [[total]] = connection.execute("SELECT count(*) FROM runs WHERE partition = 0")
    shares: dict[tuple[str, str], Share] = {}
    after, done = "", 0
    while done < total:
        rows = connection.execute(
            "SELECT id, component, status, length(CAST(component || ifnull(link, '') || ifnull(tags, '') "
            "|| ifnull(waiting, '') || code AS BLOB)), "
            "(SELECT count(*) FROM journal j WHERE j.partition = 0 AND j.run_id = r.id), "
            "(SELECT ifnull(sum(length(CAST(body AS BLOB))), 0) FROM journal j "
            "WHERE j.partition = 0 AND j.run_id = r.id) "
            f"FROM runs r WHERE partition = 0 AND id > ? ORDER BY id LIMIT {PAGE}",
            (after,),
        ).fetchall()
        for run_id, component, status, record_bytes, entries, entry_bytes in rows:
            share = shares.setdefault((component, status), Share(component, status))
            share.runs += 1
            share.entries += entries
            share.bytes += record_bytes + entry_bytes
            after = run_id
        done += len(rows)
        progress(done, total)
    return sorted(shares.values(), key=lambda share: (-share.bytes, share.component, share.status))
