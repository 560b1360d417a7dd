"""Many sleeping runs: how fast they are started, and what memory they take."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from agnt5 import Runtime, WorkflowContext, workflow
from benchmarks.probe import Figures, Stopwatch, rss_bytes

DAY = 86_400.0
CLIENTS = 500
ASLEEP_SECONDS_MAX = 30.0  # Until the last of them is written down as suspended.
asleep = 0


@workflow
async def sleeper(ctx: WorkflowContext, run: int) -> int:
    global asleep
    asleep += 1
    await ctx.sleep(DAY)
    return run


async def _start(first: int, runs: int) -> None:
    async def client(index: int) -> None:
        for run in range(first + index, first + runs, CLIENTS):
            await sleeper.submit(run)

    await asyncio.gather(*(client(index) for index in range(CLIENTS)))
    while asleep < first + runs:  # noqa: ASYNC110  # Bodies run on loops of their own, without our events.
        await asyncio.sleep(0.001)


async def _wait_suspended(path: Path, runs: int) -> None:
    deadline = time.monotonic() + ASLEEP_SECONDS_MAX
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        while True:
            [[found]] = connection.execute("SELECT count(*) FROM runs WHERE status = 'suspended' AND wake_at > 0")
            if found == runs:
                return
            assert time.monotonic() < deadline, f"all {runs} runs are suspended in time, and not {found}"
            await asyncio.sleep(0.1)


async def measure(folder: Path, runs: int, before: int) -> Figures:
    """Start them; first some others, so that what is bounded (caches, the worker's own) is full and not counted.

    The clock stops when all are durable and their bodies have come to the sleep. Memory is that of
    the whole process, runtime, worker and store, with garbage collected and free pages given back.
    """
    path = folder / "journal.db"
    async with Runtime(store=f"sqlite:///{path}"):
        await _start(0, before)
        await _wait_suspended(path, before)
        empty = rss_bytes()
        with Stopwatch() as watch:
            await _start(before, runs)
        await _wait_suspended(path, before + runs)
        full = rss_bytes()
    return {
        "starts/s": runs / watch.wall,
        "CPU ms/start": watch.cpu / runs * 1000,
        "KiB each": (full - empty) / runs / 1024,
        "RSS MiB": full / 1024**2,
    }
