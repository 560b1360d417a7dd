"""Has runs wait in every way there is while the machine's clock is set forward and back.

    clocked.py JOURNAL JUMPS CACHED

JUMPS are seconds, separated by commas: after each one, runs that were begun just before it and wait for a short time
must end, as must runs begun after it. The last jumps bring forward what waits for a long time. CACHED runs stay in
memory.
"""

import asyncio
import ctypes
import sys
from collections.abc import Callable
from typing import Any

from agnt5 import DurableContext, RetryPolicy, Runtime, WorkerSettings, function, workflow

HALF_AN_HOUR = 1800.0
SHORT = 0.2
PATIENCE_SECONDS = 15.0  # Far less than any jump.


def policy(seconds: float) -> RetryPolicy:
    return RetryPolicy(max_attempts=2, initial_interval=seconds, max_interval=seconds, jitter=0)


async def second_time_lucky(ctx: DurableContext) -> str:
    if ctx.attempt == 1:
        raise ConnectionError("the first attempt fails")
    return "lucky"


async def hang() -> None:
    await asyncio.Event().wait()


@workflow
async def sleeping(ctx: DurableContext, seconds: float) -> str:
    await ctx.sleep(seconds)
    return "slept"


@workflow
async def waiting(ctx: DurableContext, seconds: float) -> str:
    try:
        return await ctx.wait_for_event("never", timeout=seconds)
    except TimeoutError:
        return "waited"


@workflow
async def impatient(ctx: DurableContext, seconds: float) -> str:
    # While a step executes the worker watches the timers of its run itself.
    try:
        async with asyncio.timeout(seconds):
            await ctx.step(hang)
    except TimeoutError:
        return "had enough"
    return "never"


@workflow
async def retrying(ctx: DurableContext, seconds: float) -> str:
    return await ctx.step.options(retries=policy(seconds))(second_time_lucky)


@function
async def sleeping_function(ctx: DurableContext, seconds: float) -> str:
    await ctx.sleep(seconds)
    return "slept"


@function
async def retrying_function(ctx: DurableContext, seconds: float) -> str:
    return await ctx.step.options(retries=policy(seconds))(second_time_lucky)


@workflow(retries=policy(HALF_AN_HOUR))
async def retried(ctx: DurableContext, seconds: float) -> str:
    return await second_time_lucky(ctx)


ALL: list[Callable[..., Any]] = [sleeping, waiting, impatient, retrying, sleeping_function, retrying_function]


async def begin(seconds: float) -> list[Any]:
    """One run of each kind, all of them waiting."""
    return [await component.submit(seconds) for component in ALL]  # type: ignore[attr-defined]  # Components.


async def ended(handles: list[Any], said: str) -> None:
    """See that all of them end, soon by any clock."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        results = await asyncio.gather(*(handle.result() for handle in handles))
    print(said, *results)


async def main(journal: str, jumps: str, cached: str) -> None:
    turn = ctypes.CDLL(None).calendar_turn
    turn.argtypes = [ctypes.c_int64]
    async with Runtime(store=f"sqlite:///{journal}", settings=WorkerSettings(max_cached_runs=int(cached))):
        long = [*await begin(HALF_AN_HOUR), await retried.submit(HALF_AN_HOUR)]
        await ended(await begin(SHORT), "before:")
        for jump in map(int, jumps.split(",")):
            turn(jump)
            await ended(await begin(SHORT), f"after {jump}:")
        await ended(long, "long:")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
