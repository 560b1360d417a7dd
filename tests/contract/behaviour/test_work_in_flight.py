"""What is still under way when an attempt of a run ends."""

import asyncio
import threading

import pytest

from agnt5 import NonRetryableError, RetryPolicy, WorkerSettings, WorkflowContext, get_run, workflow

from .world import World, events_of, until

FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)


class Flaw(Exception):
    """What ends an attempt."""


async def test_open_steps_are_stopped_and_awaited_when_an_attempt_ends(world: World):
    """They may clean up; the next attempt begins after that."""
    order: list[str] = []
    is_open = asyncio.Event()

    async def slow() -> None:
        try:
            order.append("slow begins")
            is_open.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.005)
            order.append("slow ends")

    async def fail() -> None:
        await is_open.wait()
        raise NonRetryableError("now")

    @workflow(retries=RetryPolicy(max_attempts=2, initial_interval=0.001, retry_on=(BaseExceptionGroup, Exception)))
    async def flow(ctx: WorkflowContext) -> None:
        if ctx.attempt == 2:
            order.append("second attempt")
            return
        task = asyncio.create_task(_run(ctx, slow))
        try:
            await ctx.step(fail)
        except NonRetryableError as error:
            raise Flaw from error
        await task

    await (await flow.submit()).result(timeout=5)

    assert order == ["slow begins", "slow ends", "second attempt"]


async def _run(ctx: WorkflowContext, fn) -> None:
    await ctx.step(fn)


async def test_a_retry_joins_what_is_still_running(world: World):
    """A thread that can't be stopped is not started a second time: the next attempt gets its result."""
    world.settings = WorkerSettings(grace=0.01)
    await world.restart()
    began: list[None] = []
    is_open, release = threading.Event(), threading.Event()

    def slow() -> str:
        began.append(None)
        is_open.set()
        release.wait(5)
        return "result"

    def fail() -> None:
        is_open.wait(5)
        raise NonRetryableError("now")

    @workflow(retries=FAST)
    async def flow(ctx: WorkflowContext) -> str:
        if ctx.attempt == 1:
            task = asyncio.create_task(_run(ctx, slow))
            try:
                await ctx.step(fail)
            except NonRetryableError as error:
                raise Flaw from error
            await task
        release.set()
        return await ctx.step(slow)

    try:
        assert await (await flow.submit()).result(timeout=5) == "result"
    finally:
        release.set()
    assert len(began) == 1


async def test_what_finishes_while_an_attempt_ends_is_recorded(world: World):
    """The next attempt finds it, and doesn't run it again."""
    began: list[None] = []
    is_open, release = threading.Event(), threading.Event()

    def slow() -> str:
        began.append(None)
        is_open.set()
        release.wait(5)
        return "result"

    def fail() -> None:
        is_open.wait(5)
        threading.Timer(0.01, release.set).start()
        raise NonRetryableError("now")

    @workflow(retries=FAST)
    async def flow(ctx: WorkflowContext) -> str:
        if ctx.attempt == 1:
            await asyncio.gather(ctx.step(slow), _failing(ctx, fail))
        return await ctx.step(slow)

    handle = await flow.submit()
    assert await handle.result(timeout=5) == "result"
    assert len(began) == 1
    assert len([event for event in await events_of(handle, "outcome") if event.name == "slow"]) == 1


async def _failing(ctx: WorkflowContext, fail) -> None:
    try:
        await ctx.step(fail)
    except NonRetryableError as error:
        raise Flaw from error


async def test_calls_that_nobody_awaits_any_more_are_cancelled(world: World):
    """Submissions go on."""

    @workflow
    async def child(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("never")

    @workflow
    async def parent(ctx: WorkflowContext) -> None:
        handle = await child.submit()
        await ctx.state.set("submitted", handle.id)
        call = asyncio.create_task(_call(child))
        await ctx.sleep(0.001)
        await ctx.state.set("called", True)
        await ctx.sleep(0.001)
        assert not call.done()
        raise Flaw

    handle = await parent.submit()
    with pytest.raises(Flaw):
        await handle.result(timeout=5)

    submitted = get_run(await handle.state.get("submitted"))
    [begun] = await events_of(handle, "begun")
    called = get_run(begun.data["target"])

    async def is_cancelled() -> bool:
        return await called.status() == "cancelled"

    await until(is_cancelled)
    assert await submitted.status() != "cancelled"


async def _call(child) -> None:
    await child()
