"""Steps, in workflows of three, in one long run, and in a wide one."""

import asyncio
from pathlib import Path

from dbos import DBOS

from benchmarks.probe import Figures, long_runs, many_runs, wide_runs
from benchmarks.programs.dbos.app import launched


@DBOS.step()
async def increment(value: int) -> int:
    return value + 1


@DBOS.step()
async def square(value: int) -> int:
    return value * value


@DBOS.workflow()
async def in_a_row(value: int, steps: int) -> int:
    for _ in range(steps):
        value = await increment(value)
    return value


@DBOS.workflow()
async def at_once(steps: int) -> int:
    return sum(await asyncio.gather(*(square(value) for value in range(steps))))


async def three_steps(folder: Path, runs: int, concurrency: int) -> Figures:
    with launched(folder):
        return await many_runs(lambda value: in_a_row(value, 3), runs, concurrency)


async def long_run(folder: Path, sizes: list[int]) -> Figures:
    with launched(folder):
        return await long_runs(lambda size: in_a_row(0, size), sizes)


async def fan_out(folder: Path, steps: int, repeats: int) -> Figures:
    with launched(folder):
        return await wide_runs(at_once, steps, repeats)
