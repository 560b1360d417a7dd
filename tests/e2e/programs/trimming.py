"""A journal that is full of what is over, and a runtime that is killed while it removes that.

    trimming.py fill JOURNAL                make the journal
    trimming.py trim JOURNAL WHEN NUMBER    run until the nth commit that removes something, and die there: `before`
                                            it, `within` its transaction or `after` it; 0 to see a pass through
"""

import asyncio
import sys
from pathlib import Path
from time import time_ns
from typing import Final

from deadly import die
from msgspec import Raw

from agnt5 import Retention
from agnt5.core.engine.commands import Waiter
from agnt5.core.engine.state import Event, KeyUse
from agnt5.core.journal.entry import Body, Ended, Entry, Kind, Outcome, Started
from agnt5.core.model.ids import OperationKey, RunId, new_run_id
from agnt5.core.model.run import Link, Run, Status
from agnt5.embedded import Embedded
from agnt5.runtime.retention import ENTRIES_START
from agnt5.store.port import Batch
from agnt5.store.sqlite.store import SqliteStore

DAY_US: Final = 86_400 * 1_000_000
MANY: Final = 60
LONG: Final = 5 * ENTRIES_START
STEP: Final = OperationKey("step")


class Deadly(SqliteStore):
    """A journal whose owner dies in the nth commit that removes something."""

    def __init__(self, path: Path, when: str, number: int) -> None:
        super().__init__(path)
        self._when = when
        self._left = number

    async def commit(self, batch: Batch) -> None:
        is_removing = bool(batch.removed or batch.unwaited or batch.forgotten)
        self._left -= is_removing
        is_last = is_removing and self._left == 0
        if is_last and self._when == "before":
            die()
        await super().commit(batch)
        if is_last and self._when == "after":
            die()

    def _write(self, batch: Batch) -> None:
        is_removing = bool(batch.removed or batch.unwaited or batch.forgotten)
        is_last = is_removing and self._left == 0 and self._when == "within"
        if is_last:
            # Between what is deleted of one run: its record is gone, and its entries are there.
            self._connection.set_trace_callback(lambda sql: die() if sql.startswith("DELETE FROM journal") else None)
        super()._write(batch)
        if is_last:
            die()


def entries_of(run_id: RunId, at: int, steps: int, *ends: Body) -> list[tuple[RunId, Entry]]:
    """The journal of a run: its start, so many steps, and how it ended if it has."""
    outcomes = [Outcome(op, OperationKey(f"k{op}"), Kind.STEP, "s", result=Raw(b"1")) for op in range(steps)]
    bodies: list[Body] = [Started("order", Raw(b"{}")), *outcomes, *ends]
    return [(run_id, Entry(index, at, body)) for index, body in enumerate(bodies)]


def over(number: int, at: int, steps: int, link: Link | None = None) -> Batch:
    """A run that completed, with its idempotency key."""
    run_id = new_run_id(at, number)
    key = f"order-{number}"
    run = Run(
        id=run_id,
        component="order",
        status=Status.COMPLETED,
        created_at=at,
        ended_at=at,
        link=link,
        idempotency_key=key,
    )
    entries = entries_of(run_id, at, steps, Ended(Status.COMPLETED, Raw(b"1")))
    return Batch(entries, [run], keys=[KeyUse("order", key, run_id, "digest")])


async def fill(journal: Path) -> None:
    """Make a journal: many short runs and a long one that are over, and what must stay."""
    store = SqliteStore(journal)
    await store.open()
    old = time_ns() // 1000 - 100 * DAY_US
    parent = Run(id=new_run_id(old, 1 << 40), component="order", status=Status.SUSPENDED, created_at=old)
    waiter = Waiter("event:paid", parent.id, 1, 1, STEP)
    await store.commit(Batch(entries_of(parent.id, old, 1), [parent], waiters=[waiter]))
    link = Link(parent.id, 0, STEP, 1, called=True)
    young = time_ns() // 1000
    for batch in (over(1 << 41, old, 2, link), over(1 << 42, young, 2), over(1 << 43, old, LONG)):
        await store.commit(batch)
    gone = Waiter("event:paid", new_run_id(old, 0), 1, 1, STEP)
    events = [Event(name, Raw(b"1"), at) for name, at in (("ancient", old - 40 * DAY_US), ("old", old - 20 * DAY_US))]
    await store.commit(Batch(events=events, waiters=[gone]))
    batches = [over(number, old, 3) for number in range(MANY)]
    await store.commit(
        Batch(
            [entry for batch in batches for entry in batch.entries],
            [run for batch in batches for run in batch.created],
            keys=[use for batch in batches for use in batch.keys],
        )
    )
    await store.mark_closed()
    await store.close()


async def trim(journal: Path, when: str, number: int) -> None:
    """Run until it dies, or has nothing left to remove."""
    runtime = Embedded(Deadly(journal, when, number), retention=Retention())
    runtime.start()
    keeper = runtime._thread._lane._keeper  # type: ignore[attr-defined]  # It tells nobody when it is through.
    while keeper.next_at < time_ns() // 1000 + 60_000_000:  # noqa: ASYNC110  As just said.
        await asyncio.sleep(0.005)
    runtime.stop()


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        asyncio.run(fill(Path(sys.argv[2])))
    else:
        asyncio.run(trim(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
