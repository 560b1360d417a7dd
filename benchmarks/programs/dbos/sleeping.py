"""Sleeping runs: how fast they are started, and what memory they take."""

import asyncio
from pathlib import Path

from dbos import DBOS

from benchmarks.probe import Figures, Stopwatch, rss_bytes
from benchmarks.programs.dbos.app import launched

DAY = 86_400.0
asleep = 0


@DBOS.workflow()
async def sleeper(run: int) -> int:
    global asleep
    asleep += 1
    await DBOS.sleep_async(DAY)
    return run


async def _start(first: int, runs: int) -> None:
    for run in range(first, first + runs):
        await DBOS.start_workflow_async(sleeper, run)
    while asleep < first + runs:  # noqa: ASYNC110  # Bodies run on loops of their own, without our events.
        await asyncio.sleep(0.001)


async def measure(folder: Path, runs: int, before: int) -> Figures:
    """Start them; first some others, so that what is bounded is not counted."""
    # Not ended in order: that would wait for the runs.
    launched(folder).__enter__()
    await _start(0, before)
    empty = rss_bytes()
    with Stopwatch() as watch:
        await _start(before, runs)
    full = rss_bytes()
    return {
        "starts/s": runs / watch.wall,
        "CPU ms/start": watch.cpu / runs * 1000,
        "KiB each": (full - empty) / runs / 1024,
        "RSS MiB": full / 1024**2,
    }
