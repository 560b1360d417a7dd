"""How a run's record becomes a row, and a row a record: the same for every store that has rows."""

from typing import Any, Final

import msgspec

from agnt5.core.model.errors import StoreCorrupt
from agnt5.core.model.run import NOT_WAITING, Link, Origin, Run, Status, Waiting

COLUMNS: Final = (
    "id",
    "component",
    "status",
    "epoch",
    "attempt",
    "generation",
    "life",
    "created_at",
    "started_at",
    "ended_at",
    "wake_at",
    "parent",
    "link",
    "origin",
    "awaited",
    "tags",
    "idempotency_key",
    "code",
    "idempotent",
    "crashes",
    "cancel_requested",
    "waiting",
)

_encode: Final = msgspec.json.Encoder().encode
_links: Final = msgspec.json.Decoder(Link)
_origins: Final = msgspec.json.Decoder(Origin)
_tags: Final = msgspec.json.Decoder(tuple[str, ...])
_waitings: Final = msgspec.json.Decoder(Waiting)


def row_of(run: Run) -> tuple[Any, ...]:
    """The record as values for `COLUMNS`."""
    link = run.link
    # One that waits in its worker's memory alone is running for all that a restart needs to know.
    is_warm = run.is_parked and not run.is_stored_suspended
    return (
        run.id,
        run.component,
        Status.RUNNING.value if is_warm else run.status.value,
        run.epoch,
        run.attempt,
        run.generation,
        run.life,
        run.created_at,
        run.started_at,
        run.ended_at,
        None if is_warm else run.wake_at or None,
        link.run if link is not None else None,
        _encode(link).decode() if link is not None else None,
        _encode(run.origin).decode() if run.origin is not None else None,
        int(run.awaited),
        _encode(run.tags).decode() if run.tags else None,
        run.idempotency_key or None,
        run.code,
        int(run.idempotent),
        run.crashes,
        int(run.is_cancel_requested),
        None if is_warm or run.waiting is NOT_WAITING else _encode(run.waiting).decode(),
    )


def run_of(row: Any, next_index: int, stamp: int) -> Run:
    """The record that a row holds.

    Args:
        row: Values by the names of `COLUMNS`.
        next_index: Of the entry to come in its journal.
        stamp: Time of the last entry.

    Raises:
        StoreCorrupt: The row isn't one that we wrote.
    """
    try:
        return _run_of(row, next_index, stamp)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise StoreCorrupt(
            f"the record of run {row['id']} can't be read: {error}",
            why="the store was edited, damaged, or written by other software",
            fix="restore the journal from a backup",
            run_id=row["id"],
        ) from error


def _run_of(row: Any, next_index: int, stamp: int) -> Run:
    status = Status(row["status"])
    return Run(
        id=row["id"],
        component=row["component"],
        status=status,
        epoch=row["epoch"],
        attempt=row["attempt"],
        generation=row["generation"],
        life=row["life"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        wake_at=row["wake_at"] or 0,
        link=_links.decode(row["link"]) if row["link"] else None,
        origin=_origins.decode(row["origin"]) if row["origin"] else None,
        awaited=bool(row["awaited"]),
        tags=_tags.decode(row["tags"]) if row["tags"] else (),
        idempotency_key=row["idempotency_key"] or "",
        code=row["code"],
        idempotent=bool(row["idempotent"]),
        crashes=row["crashes"],
        is_cancel_requested=bool(row["cancel_requested"]),
        waiting=_waitings.decode(row["waiting"]) if row["waiting"] else NOT_WAITING,
        next_index=next_index,
        stamp=stamp,
        is_stored_suspended=status is Status.SUSPENDED,
    )
