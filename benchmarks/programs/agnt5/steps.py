"""Steps, in workflows of three, in one long run, and in a wide one."""

import asyncio
from pathlib import Path

from agnt5 import Runtime, WorkflowContext, workflow
from benchmarks.probe import Figures, long_runs, many_runs, wide_runs


async def increment(value: int) -> int:
    return value + 1


async def square(value: int) -> int:
    return value * value


@workflow
async def in_a_row(ctx: WorkflowContext, value: int, steps: int) -> int:
    for _ in range(steps):
        value = await ctx.step(increment, value)
    return value


@workflow
async def at_once(ctx: WorkflowContext, steps: int) -> int:
    return sum(await asyncio.gather(*(ctx.step(square, value) for value in range(steps))))


def runtime(folder: Path) -> Runtime:
    return Runtime(store=f"sqlite:///{folder}/journal.db")


async def three_steps(folder: Path, runs: int, concurrency: int) -> Figures:
    async with runtime(folder):
        return await many_runs(lambda value: in_a_row(value, 3), runs, concurrency)


async def long_run(folder: Path, sizes: list[int]) -> Figures:
    async with runtime(folder):
        return await long_runs(lambda size: in_a_row(0, size), sizes)


async def fan_out(folder: Path, steps: int, repeats: int) -> Figures:
    async with runtime(folder):
        return await wide_runs(at_once, steps, repeats)
