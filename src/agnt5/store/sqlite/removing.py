"""What of a journal file is kept no longer: finding it, a page at a time, and deleting it within a commit.

A run with a long journal is deleted in pieces. With the first of them its record goes to partition -1,
where nothing but this looks: from then on the run is gone for everybody. The record tells, after a
crash too, whose entries are still to be deleted, and goes with the last of them.
"""

import sqlite3
from typing import Final

from agnt5.core.model.ids import RunId
from agnt5.core.model.run import TERMINAL
from agnt5.store.port import Aged, Place, Removal

REMOVED: Final = -1  # The partition of records whose run is gone.
_OVER: Final = ", ".join(f"'{status.value}'" for status in sorted(TERMINAL))
# An entry of the run itself, or of its parent if that is there.
_FIRST: Final = "FROM journal j WHERE j.partition = 0 AND j.run_id = {run} ORDER BY position LIMIT 1"
_AGED: Final = (
    "SELECT id, status, created_at, ended_at, "
    f"(SELECT at {_FIRST.format(run='r.id')}) AS began_at, "
    f"(SELECT position {_FIRST.format(run='r.id')}) AS first, "
    "(SELECT max(position) FROM journal j WHERE j.partition = 0 AND j.run_id = r.id) AS last, "
    f"(SELECT at {_FIRST.format(run='(SELECT p.id FROM runs p WHERE p.partition = 0 AND p.id = r.parent)')}) "
    "AS parent_began_at, "
    "EXISTS (SELECT 1 FROM waiters w WHERE w.partition = 0 AND w.target = 'run:' || r.id) AS is_awaited "
    "FROM runs r WHERE r.partition = {partition}"
)


def aged(connection: sqlite3.Connection, after: RunId | None, before: RunId, limit: int) -> list[Aged]:
    """Runs whose id is between these two, by id."""
    sql = f"{_AGED.format(partition=0)} AND r.id > ? AND r.id < ? ORDER BY r.id LIMIT ?"
    return [_aged(row) for row in connection.execute(sql, (after or "", before, limit))]


def remains(connection: sqlite3.Connection) -> Aged | None:
    """A run that was removed, and of whose entries some are left."""
    rows = connection.execute(f"{_AGED.format(partition=REMOVED)} ORDER BY r.id LIMIT 1").fetchall()
    return _aged(rows[0]) if rows else None


def _aged(row: sqlite3.Row) -> Aged:
    last = row["last"]
    return Aged(
        row["id"],
        row["status"],
        row["created_at"],
        row["ended_at"],
        row["began_at"] or 0,
        row["first"] or 0,
        last + 1 if last is not None else 0,
        row["parent_began_at"] or 0,
        bool(row["is_awaited"]),
    )


def waits(connection: sqlite3.Connection, after: Place | None, limit: int) -> list[tuple[Place, bool]]:
    """Who is written down as waiting, in the order of places, and whether that run is over or gone."""
    rows = connection.execute(
        "SELECT w.target, w.run_id, w.key, NOT EXISTS (SELECT 1 FROM runs r WHERE r.partition = 0 "
        f"AND r.id = w.run_id AND r.status NOT IN ({_OVER})) AS is_over "
        "FROM waiters w WHERE w.partition = 0 AND (w.target, w.run_id, w.key) > (?, ?, ?) "
        "ORDER BY w.target, w.run_id, w.key LIMIT ?",
        (*(after or ("", "", "")), limit),
    )
    return [((row["target"], row["run_id"], row["key"]), bool(row["is_over"])) for row in rows]


def event_times(connection: sqlite3.Connection, after: str, limit: int) -> list[tuple[str, int]]:
    """Events that were resolved and when, by id."""
    rows = connection.execute(
        "SELECT id, at FROM events WHERE partition = 0 AND id > ? ORDER BY id LIMIT ?", (after, limit)
    )
    return [(row["id"], row["at"]) for row in rows]


def remove(connection: sqlite3.Connection, removal: Removal) -> None:
    """Delete a run, or the next piece of one that is gone, in the transaction that is open."""
    run_id = removal.run_id
    connection.execute(
        "DELETE FROM idempotency_keys WHERE partition = 0 AND run_id = ? AND (component, key) = "
        "(SELECT component, idempotency_key FROM runs WHERE partition = 0 AND id = ?)",
        (run_id, run_id),
    )
    if removal.is_whole:
        connection.execute(f"DELETE FROM runs WHERE partition IN (0, {REMOVED}) AND id = ?", (run_id,))
        connection.execute("DELETE FROM journal WHERE partition = 0 AND run_id = ?", (run_id,))
    else:
        connection.execute(f"UPDATE runs SET partition = {REMOVED} WHERE partition = 0 AND id = ?", (run_id,))
        connection.execute(
            "DELETE FROM journal WHERE partition = 0 AND run_id = ? AND position < ?", (run_id, removal.until)
        )
    connection.execute("DELETE FROM heartbeats WHERE partition = 0 AND run_id = ?", (run_id,))


def unwait(connection: sqlite3.Connection, place: Place) -> None:
    """Delete a wait."""
    connection.execute("DELETE FROM waiters WHERE partition = 0 AND target = ? AND run_id = ? AND key = ?", place)


def forget(connection: sqlite3.Connection, event_id: str) -> None:
    """Delete an event."""
    connection.execute("DELETE FROM events WHERE partition = 0 AND id = ?", (event_id,))
