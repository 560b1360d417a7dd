"""The writes of those runs in plain `sqlite3`: as many durable commits to a run, shared by what is in flight."""

import asyncio
import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.probe import Figures, long_runs, many_runs, wide_runs
from benchmarks.programs.limit.group_commit import GroupCommit, ended, outcome, started, writer

_run_ids = (f"{number:032x}" for number in itertools.count())


async def three_steps(folder: Path, runs: int, concurrency: int) -> Figures:
    """Five commits to a run: that it exists, each step's outcome, its own."""
    path = folder / "bare.db"
    journal = GroupCommit(lambda: writer(path))

    async def run(value: int) -> int:
        run_id = next(_run_ids)
        await journal.append(started(run_id, value))
        for step in range(3):
            await journal.append(outcome(run_id, step, value + step, value + step + 1))
        await journal.append(ended(run_id, 4, value + 3))
        return value + 3

    figures = await many_runs(run, runs, concurrency)
    journal.close()
    with closing(sqlite3.connect(path)) as connection:
        [[found]] = connection.execute("SELECT count(*) FROM journal")
    assert found == 5 * int(next(_run_ids), 16), "each run has five entries"
    return figures


async def long_run(folder: Path, sizes: list[int]) -> Figures:
    """A bare loop: one thread, one row, one commit, and the next."""
    write = writer(folder / "bare.db")

    async def run(size: int) -> int:
        run_id = next(_run_ids)
        write([started(run_id, size)])
        for step in range(size):
            write([outcome(run_id, step, step, step + 1)])
        write([ended(run_id, size + 1, size)])
        return size

    return await long_runs(run, sizes)


async def fan_out(folder: Path, steps: int, repeats: int) -> Figures:
    """Each step is a task that waits for its row to be durable."""
    journal = GroupCommit(lambda: writer(folder / "bare.db"))

    async def step(run_id: str, value: int) -> int:
        await journal.append(outcome(run_id, value, value, value * value))
        return value * value

    async def run(size: int) -> int:
        run_id = next(_run_ids)
        await journal.append(started(run_id, size))
        result = sum(await asyncio.gather(*(step(run_id, value) for value in range(size))))
        await journal.append(ended(run_id, size + 1, result))
        return result

    figures = await wide_runs(run, steps, repeats)
    journal.close()
    return figures
