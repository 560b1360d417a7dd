"""Runs that wait for something far away, one of each sort.

    suspended.py begin JOURNAL     submit them, and stay
    suspended.py go_on JOURNAL     send what they wait for, and print what each came to
"""

import asyncio
import json
import sys
from pathlib import Path

from deadly import EFFECTS, effect, note

import agnt5
from agnt5 import DurableContext, RetryPolicy, Runtime, workflow

SLEEP_SECONDS = 2.0  # More than a process lives here before it is killed.
WAIT_SECONDS = 20.0


async def once(who: str) -> str:
    effect(f"{who} 1")
    return who


async def second_time(ctx: DurableContext) -> int:
    effect(f"retry {ctx.attempt}")
    if ctx.attempt == 1:
        raise ConnectionError("the first attempt")
    return ctx.attempt


@workflow
async def sleeps(ctx: DurableContext) -> str:
    await ctx.step(once, "sleeps")
    await ctx.sleep(SLEEP_SECONDS)
    return "slept"


@workflow
async def times_out(ctx: DurableContext) -> str:
    await ctx.step(once, "times_out")
    try:
        await ctx.wait_for_event("never", timeout=SLEEP_SECONDS)
    except TimeoutError:
        return "timed out"
    return "an event that was never sent"


@workflow
async def waits_for_event(ctx: DurableContext) -> str:
    await ctx.step(once, "waits_for_event")
    return await ctx.wait_for_event("go")


@workflow
async def waits_for_signal(ctx: DurableContext) -> str:
    await ctx.step(once, "waits_for_signal")
    return await ctx.wait_for_signal("go")


@workflow
async def waits_for_child(ctx: DurableContext) -> str:
    await ctx.step(once, "waits_for_child")
    return await sleeps()


@workflow
async def backs_off(ctx: DurableContext) -> int:
    return await ctx.step.options(retries=RetryPolicy(max_attempts=2, initial_interval=SLEEP_SECONDS))(second_time)


@workflow
async def delayed(ctx: DurableContext) -> str:
    return await ctx.step(once, "delayed")


@workflow
async def cancelled(ctx: DurableContext) -> str:
    await ctx.step(once, "cancelled")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "compensated"
    return "woken by nobody"


ALL = [sleeps, times_out, waits_for_event, waits_for_signal, waits_for_child, backs_off, cancelled]


async def begin(journal: str) -> None:
    """Submit one run of each, and stay."""
    async with Runtime(store=f"sqlite:///{journal}"):
        handles = [await component.submit() for component in ALL] + [await delayed.submit(delay=SLEEP_SECONDS)]
        note("acknowledged " + json.dumps([handle.id for handle in handles]))
        await asyncio.Event().wait()


async def go_on(journal: str) -> None:
    """Send what they wait for, and wait for all of them."""
    ids = acknowledged()
    async with Runtime(store=f"sqlite:///{journal}"):
        await agnt5.send_event("go", "event came")
        await agnt5.get_run(ids[3]).signal("go", "signal came")
        await agnt5.get_run(ids[6]).cancel()
        results = await asyncio.gather(*(agnt5.get_run(run_id).result(timeout=WAIT_SECONDS) for run_id in ids))
        print(json.dumps(results))


def acknowledged() -> list[str]:
    """The ids of the runs that were submitted."""
    [line] = [line for line in Path(EFFECTS).read_text().splitlines() if line.startswith("acknowledged ")]
    return json.loads(line.removeprefix("acknowledged "))


if __name__ == "__main__":
    asyncio.run({"begin": begin, "go_on": go_on}[sys.argv[1]](sys.argv[2]))
