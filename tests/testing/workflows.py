"""Workflows that together use all that a context offers; each is killed everywhere by `test_crash`."""

import asyncio
from datetime import timedelta
from typing import Any

from agnt5 import (
    DurableContext,
    FunctionContext,
    NonRetryableError,
    RetryPolicy,
    WorkflowContext,
    durable,
    function,
    get_run,
    send_event,
    workflow,
)


async def echo(value: Any) -> Any:
    return value


async def double(number: int) -> int:
    return 2 * number


def halve(number: int) -> float:
    """Not async: it runs in a thread."""
    return number / 2


async def note(text: str) -> str:
    return f"noted {text}"


@workflow
async def steps(ctx: WorkflowContext, number: int) -> float:
    doubled = await ctx.step(double, number)
    named = await ctx.step("again", double, doubled)
    return await ctx.step(halve, named)


@function(retries=RetryPolicy(max_attempts=3, initial_interval=60, max_interval=600))
async def third_time_lucky(ctx: FunctionContext) -> int:
    if ctx.attempt < 3:
        raise ConnectionError(f"attempt {ctx.attempt}")
    return ctx.attempt


async def always_fails(text: str) -> None:
    raise NonRetryableError(text)


@workflow
async def retries(ctx: WorkflowContext) -> list[Any]:
    attempts = await ctx.step(third_time_lucky)
    try:
        await ctx.step(always_fails, "no")
    except NonRetryableError as error:
        return [attempts, error.what, ctx.now()]
    return []


@workflow
async def spawning(ctx: WorkflowContext) -> list[Any]:
    return await ctx.spawn([("a", double, 1), ("b", note, "b"), ("b", double, 3)])


@workflow(max_concurrent_steps=1)
async def gathering(ctx: WorkflowContext) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(asyncio.sleep(3_600, "slept"))
        first = group.create_task(ctx.step(double, 1))
    both = await asyncio.gather(ctx.step(double, 2), ctx.step(note, "x"))
    return [slow.result(), first.result(), *both]


@workflow
async def sleeping(ctx: WorkflowContext) -> list[Any]:
    began = ctx.now()
    await ctx.sleep(timedelta(days=30))
    await asyncio.sleep(1)
    return [(ctx.now() - began).days, ctx.random.random(), str(ctx.uuid4())]


@workflow
async def reminder(ctx: WorkflowContext, days: int) -> str:
    for day in range(days):
        await ctx.sleep(timedelta(days=1))
        await ctx.step(echo, day)
    return f"reminded {days} times"


@workflow
async def waiting(ctx: WorkflowContext) -> list[Any]:
    approval = await ctx.wait_for_event(f"approval:{ctx.run_id}", timeout=3_600)
    first = await ctx.wait_for_signal("word")
    second = await ctx.wait_for_signal("word")
    try:
        await ctx.wait_for_event("never", timeout=60)
    except TimeoutError:
        return [approval, first, second, "in vain"]
    return []


@workflow
async def timing_out(ctx: WorkflowContext) -> str:
    try:
        async with asyncio.timeout(60):
            await ctx.wait_for_signal("never")
    except TimeoutError:
        return await ctx.step(note, "too late")
    return ""


@workflow
async def remembering(ctx: WorkflowContext) -> list[Any]:
    await ctx.state.set("count", 1)
    await ctx.state.set("gone", True)
    await ctx.state.delete("gone")
    await ctx.step(note, "between")
    await ctx.state.set("count", await ctx.state.get("count") + 1)
    return [await ctx.state.get("count"), await ctx.state.keys()]


@workflow
async def child(ctx: WorkflowContext, number: int) -> int:
    await ctx.sleep(1)
    return await ctx.step(double, number)


@function
async def other_child(ctx: FunctionContext, number: int) -> str:
    await ctx.sleep(10)
    return await ctx.step(note, str(number))


@workflow
async def failing_child(ctx: WorkflowContext) -> None:
    await ctx.step(note, "before")
    raise LookupError("nothing there")


@workflow
async def parent(ctx: WorkflowContext) -> list[Any]:
    handle = await child.submit(10)
    both = await asyncio.gather(child(1), other_child(2))
    try:
        await failing_child()
    except LookupError as error:
        return [*both, str(error), await handle.result(), await get_run(handle.id).status()]
    return []


@workflow
async def counting(ctx: WorkflowContext, count: int = 0) -> Any:
    seen = await ctx.state.get("seen", [])
    await ctx.state.set("seen", [*seen, await ctx.step(double, count)])
    if count < 2:
        return ctx.continue_as(count + 1)
    return await ctx.state.get("seen")


@workflow
async def cancelled(ctx: WorkflowContext) -> None:
    await ctx.step(note, "reserved")
    try:
        await ctx.wait_for_signal("go")
    except asyncio.CancelledError:
        await ctx.step("release", note, "released")
        raise


@workflow
async def compensating(ctx: WorkflowContext) -> str:
    await ctx.step("reserve", note, "room")
    try:
        await ctx.step("charge", always_fails, "no money")
    except NonRetryableError:
        await ctx.step("release", note, "room")
        raise
    return "booked"


@durable.flow(max_retries=2)
async def trying_again(ctx: DurableContext) -> list[int]:
    doubled = await ctx.step(double, 4)
    attempts = await ctx.state.get("attempts", 0) + 1
    await ctx.state.set("attempts", attempts)
    if attempts < 3:
        raise ConnectionError(f"attempt {attempts}")
    return [doubled, attempts]


@durable.flow(checkpoint_interval=3)
async def checkpointing(ctx: DurableContext) -> list[int]:
    return [await ctx.step(double, number) for number in range(7)]


async def outer(ctx: FunctionContext, number: int) -> list[Any]:
    """A step that does steps, sleeps and waits itself."""
    doubled = await ctx.step(double, number)
    await ctx.sleep(100)
    return [doubled, await ctx.wait_for_event("inner")]


@workflow
async def nesting(ctx: WorkflowContext) -> list[Any]:
    return await ctx.step(outer, 21)


@workflow
async def talking(ctx: WorkflowContext) -> list[Any]:
    listener = await waiting.submit()
    await send_event(f"approval:{listener.id}", "granted")
    await listener.signal("word", "one")
    await listener.signal("word", "two")
    return await listener.result()


@function(retries=RetryPolicy(max_attempts=3, initial_interval=5))
async def plain_function(ctx: FunctionContext, number: int) -> list[Any]:
    doubled = await ctx.step(double, number)
    if ctx.attempt == 1:
        raise ConnectionError("try again")
    await ctx.sleep(1_000)
    return [doubled, await ctx.wait_for_event("inner")]
