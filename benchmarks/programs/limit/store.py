"""The same writes through our own store, without the engine: what of the cost is the store's."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from msgspec import Raw

from agnt5.core.journal.entry import Body, Ended, Entry, Kind, Outcome, Started
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.run import Run, Status
from agnt5.store.port import Batch
from agnt5.store.sqlite.store import SqliteStore
from benchmarks.probe import Figures, many_runs
from benchmarks.programs.limit.group_commit import SITE, GroupCommit, Write

_run_ids = (RunId(f"{number:032x}") for number in itertools.count())


def writer(path: Path) -> Write:
    """What commits a batch of (created run, changed run, entry)."""
    loop = asyncio.new_event_loop()
    store = SqliteStore(path)
    loop.run_until_complete(store.open())

    def write(items: list[Any]) -> None:
        created = [run for run, _, _ in items if run is not None]
        changed = [run for _, run, _ in items if run is not None]
        batch = Batch([entry for _, _, entry in items], created, changed, [], [], [], [], [], [], [])
        loop.run_until_complete(store.commit(batch))

    return write


def entry(run_id: RunId, index: int, body: Body) -> tuple[RunId, Entry]:
    return run_id, Entry(index, time.time_ns() // 1000, body)


def outcome(step: int, value: int) -> Outcome:
    now = time.time_ns() // 1000
    args, result = Raw(b'{"value":%d}' % value), Raw(b"%d" % (value + 1))
    key = OperationKey(f"{value:024x}")
    return Outcome(step, key, Kind.STEP, "increment", "", args, result, began=now, ended=now, site=SITE)


async def three_steps(folder: Path, runs: int, concurrency: int) -> Figures:
    """Five commits to a run, as in `limit.steps`."""
    journal = GroupCommit(lambda: writer(folder / "store.db"))

    async def execute(value: int) -> int:
        run_id = next(_run_ids)
        run = Run(id=run_id, component="in_a_row", status=Status.RUNNING, epoch=1, code="0123456789ab")
        await journal.append((run, None, entry(run_id, 0, Started("in_a_row", Raw(b'{"value":%d}' % value)))))
        for step in range(3):
            await journal.append((None, None, entry(run_id, step + 1, outcome(step, value + step))))
        run.status = Status.COMPLETED
        await journal.append((None, run, entry(run_id, 4, Ended(Status.COMPLETED, Raw(b"%d" % (value + 3))))))
        return value + 3

    figures = await many_runs(execute, runs, concurrency)
    journal.close()
    return figures
