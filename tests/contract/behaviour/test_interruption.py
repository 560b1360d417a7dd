"""A cancel whose handling was cut short by the end of its process hits a function again where it did before."""

import asyncio

import pytest

from agnt5 import FunctionContext, RunCancelledError, function, send_event

from .world import World, until, until_status


async def test_what_was_done_before_the_cancel_is_not_interrupted(world: World):
    """Operations that were on record when the cancel came are passed; the next one is where it strikes."""
    done: list[str] = []

    @function
    async def work(ctx: FunctionContext) -> None:
        await ctx.step("first", done.append, "first")
        await ctx.sleep(0.01)
        await ctx.state.set("here", 1)
        try:
            await ctx.wait_for_signal("never")
        except asyncio.CancelledError:
            await ctx.step("clean", done.append, f"clean {await ctx.state.get('here')}")
            await ctx.wait_for_signal("go")
            await ctx.step("last", done.append, "last")
            raise

    handle = await work.submit()
    await until(lambda: handle.state.get("here"))
    await until_status(handle, "suspended")
    await handle.cancel()
    await until(lambda: len(done) == 2)
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)
    assert done == ["first", "clean 1", "last"]


async def test_a_wait_for_something_outside_is_interrupted_too(world: World):
    """Where the function didn't wait for its context, the cancel comes when it has caught up."""
    done: list[str] = []

    @function
    async def work(ctx: FunctionContext) -> None:
        await ctx.step("first", done.append, "first")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await ctx.step("clean", done.append, "clean")
            await ctx.wait_for_signal("go")
            raise

    handle = await work.submit()
    await until(lambda: done)
    await until_recorded(handle, 1)
    await handle.cancel()
    await until(lambda: len(done) == 2)
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)
    assert done == ["first", "clean"]


async def until_recorded(handle, steps: int) -> None:
    """Wait until so many steps are in the run's journal."""
    async for event in handle.events():
        steps -= event.kind == "outcome"
        if not steps:
            return


async def test_an_operation_of_another_task_goes_on(world: World):
    """Only what the function itself awaits is interrupted; a task that it made has what it asked for."""
    done: list[str] = []

    @function
    async def work(ctx: FunctionContext) -> str:
        task = asyncio.create_task(ctx.wait_for_event("answer"))
        try:
            await ctx.wait_for_signal("never")
        except asyncio.CancelledError:
            await ctx.step("clean", done.append, "clean")
        return await task

    handle = await work.submit()
    await until_status(handle, "suspended")
    await handle.cancel()
    await until(lambda: done)
    await until_status(handle, "suspended")
    await world.restart()
    await send_event("answer", "yes")

    assert await handle.result(timeout=5) == "yes"
    assert done == ["clean"]
