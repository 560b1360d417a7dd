"""Small pieces that the bodies of these tests are put together from."""

import asyncio
from typing import Any

from agnt5 import WorkflowContext, function, get_run, send_event


async def work(label: str, ms: float) -> str:
    """Take that long; 0 is as quick as it gets."""
    await asyncio.sleep(ms / 1000)
    return f"{label}!"


@function(name="fails_for_good", retries=1)
async def fail(label: str) -> str:
    """Fail for good."""
    raise ValueError(f"{label} failed")


async def steps(ctx: WorkflowContext, name: str, ms: list[float], seen: list[str] | None = None) -> list[str]:
    """One step after the other."""
    found = []
    for n, each in enumerate(ms):
        found.append(await ctx.step(work, f"{name}.{n}", each))
        if seen is not None:
            seen.append(found[-1])
    return found


async def fails_late(ctx: WorkflowContext) -> None:
    """Fail after a step."""
    await ctx.step(work, "before", 1)
    raise LookupError("late")


async def nap(ctx: WorkflowContext, seconds: float) -> str:
    """Sleep, then do something."""
    await ctx.sleep(seconds)
    return await ctx.step(work, "nap", 0)


async def later(ctx: WorkflowContext, n: int) -> list[Any]:
    """A value that another task sets."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def settle() -> None:
        future.set_result(await ctx.step(work, f"settle{n}", (3 - n) % 3))

    task = asyncio.create_task(settle())
    found = await asyncio.shield(future)
    await task
    return [n, found]


async def signal_self(run_id: str, name: str, count: int) -> None:
    """Signal a run a number of times, as something outside would."""
    for n in range(count):
        await get_run(run_id).signal(name, n)


async def send_events(run_id: str, count: int) -> None:
    """Resolve that many events of a run, as something outside would."""
    for n in range(count):
        await send_event(f"{run_id}/{n}", {"n": n})
