"""Cancelling: durable, once, with the body free to clean up, and children with it."""

import asyncio

import pytest

from agnt5 import (
    FunctionContext,
    NonRetryableError,
    RetryPolicy,
    RunCancelledError,
    WorkflowContext,
    function,
    get_run,
    workflow,
)

from .world import World, events_of, until, until_status

KINDS = pytest.mark.parametrize("component", [workflow, function], ids=["workflow", "function"])
FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)


async def _step_that_hangs(ctx) -> None:
    await ctx.step(asyncio.Event().wait)


WAITS = {
    "signal": lambda ctx: ctx.wait_for_signal("never"),
    "event": lambda ctx: ctx.wait_for_event("never"),
    "event with a limit": lambda ctx: ctx.wait_for_event("never", timeout=1000),
    "sleep": lambda ctx: ctx.sleep(1000),
    "step": _step_that_hangs,
}


@KINDS
@pytest.mark.parametrize("wait", list(WAITS))
async def test_a_cancel_interrupts_what_is_awaited(world: World, component, wait: str):
    """Once, with CancelledError; what the body does afterwards runs normally, steps and sleeps too."""
    cleaned: list[str] = []

    @component(name="waiting")
    async def waiting(ctx) -> None:
        await ctx.state.set("ready", True)
        try:
            await WAITS[wait](ctx)
        except asyncio.CancelledError:
            await ctx.step("clean", cleaned.append, "step")
            await ctx.sleep(0.001)
            await ctx.step("clean", cleaned.append, "more")
            raise

    handle = await waiting.submit()
    await until(lambda: handle.state.get("ready"))
    if wait != "step":
        await until_status(handle, "suspended")
    await handle.cancel()

    with pytest.raises(RunCancelledError, match="waiting"):
        await handle.result(timeout=5)
    assert await handle.status() == "cancelled"
    assert cleaned == ["step", "more"]


@KINDS
async def test_a_body_that_returns_has_completed(world: World, component):
    """With the request in its history."""

    @component(name="waiting")
    async def waiting(ctx) -> str:
        try:
            await ctx.wait_for_signal("never")
        except asyncio.CancelledError:
            return "as far as it got"
        return ""

    handle = await waiting.submit()
    await until_status(handle, "suspended")
    await handle.cancel()

    assert await handle.result(timeout=5) == "as far as it got"
    assert await handle.status() == "completed"
    assert len(await events_of(handle, "cancel")) == 1


@KINDS
async def test_an_exception_after_a_cancel_still_is_a_cancel(world: World, component):
    """It isn't tried again, and the history says what was raised."""
    attempts: list[int] = []

    @component(name="waiting", retries=FAST)
    async def waiting(ctx) -> None:
        attempts.append(ctx.attempt)
        try:
            await ctx.wait_for_signal("never")
        finally:
            raise ValueError("while cleaning up")

    handle = await waiting.submit()
    await until_status(handle, "suspended")
    before = len(attempts)
    await handle.cancel()

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)
    [ended] = await events_of(handle, "ended")
    assert ended.data["error"]["message"] == "while cleaning up"
    assert set(attempts) == {1}
    assert before >= 1


@KINDS
async def test_a_second_cancel_changes_nothing(world: World, component):
    """The clean-up isn't interrupted; nor does a cancel of a run that is over do anything."""

    @component(name="waiting")
    async def waiting(ctx) -> str:
        try:
            await ctx.wait_for_signal("never")
        except asyncio.CancelledError:
            await ctx.state.set("cleaning", True)
            return await ctx.wait_for_signal("go")
        return ""

    handle = await waiting.submit()
    await until_status(handle, "suspended")
    await handle.cancel()
    await until(lambda: handle.state.get("cleaning"))
    await handle.cancel()
    await handle.cancel()
    await handle.signal("go", "cleaned")

    assert await handle.result(timeout=5) == "cleaned"
    await handle.cancel()
    assert await handle.status() == "completed"


async def test_a_cancel_survives_a_restart(world: World):
    """The body is interrupted at the same place again, once, and goes on with its clean-up."""
    cleaned: list[str] = []

    @workflow
    async def waiting(ctx: WorkflowContext) -> None:
        try:
            await ctx.wait_for_signal("never")
        except asyncio.CancelledError:
            await ctx.step("clean", cleaned.append, "first")
            await ctx.wait_for_signal("go")
            await ctx.step("clean", cleaned.append, "second")
            raise

    handle = await waiting.submit()
    await until_status(handle, "suspended")
    await handle.cancel()
    await until(lambda: cleaned)
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)
    assert cleaned == ["first", "second"]


async def test_a_function_cleans_up_after_a_restart_too(world: World):
    """A cancel that was under way when its process ended interrupts the function where it waits, not before."""
    cleaned: list[str] = []

    @function
    async def waiting(ctx: FunctionContext) -> None:
        try:
            await ctx.sleep(1000)
        except asyncio.CancelledError:
            await ctx.step("clean", cleaned.append, "first")
            await ctx.wait_for_signal("go")
            await ctx.step("clean", cleaned.append, "second")
            raise

    handle = await waiting.submit()
    await until_status(handle, "suspended")
    await handle.cancel()
    await until(lambda: cleaned)
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)
    assert cleaned == ["first", "second"]


async def test_children_are_cancelled_too(world: World):
    """Those that are awaited and those that were only submitted, and theirs."""

    @workflow
    async def leaf(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("never")

    @workflow
    async def middle(ctx: WorkflowContext) -> None:
        await ctx.state.set("leaf", (await leaf.submit()).id)
        await leaf()

    @workflow
    async def top(ctx: WorkflowContext) -> None:
        await middle()

    handle = await top.submit()
    await until_status(handle, "suspended")
    middle_run = await child_of(handle)
    await until_status(middle_run, "suspended")
    leaves = [get_run(await middle_run.state.get("leaf")), await child_of(middle_run)]
    for each in leaves:
        await until_status(each, "suspended")

    await handle.cancel()

    for each in (handle, middle_run, *leaves):
        with pytest.raises(RunCancelledError):
            await each.result(timeout=5)


async def child_of(handle):
    """The first run that this one calls, as soon as it has."""
    async for event in handle.events():
        if event.kind == "begun":
            return get_run(event.data["target"])
    raise AssertionError("it ended without calling anything")


async def test_a_cancelled_child_is_an_error_in_its_parent(world: World):
    """Cancelled from outside, it raises RunCancelledError where it is awaited, and the parent goes on."""

    @workflow
    async def child(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("never")

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        try:
            await child()
        except RunCancelledError as error:
            return error.run_id
        return ""

    handle = await parent.submit()
    called = await child_of(handle)
    await called.cancel()

    assert await handle.result(timeout=5) == called.id


async def test_a_run_that_has_not_begun_ends_at_once(world: World):
    """Nothing of it ever runs."""
    ran: list[int] = []

    @function
    async def work() -> None:
        ran.append(1)

    handle = await work.submit(delay=3600)
    await handle.cancel()
    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)

    await world.turn(4000)

    assert await handle.status() == "cancelled"
    assert ran == []


async def test_a_run_between_two_attempts_ends_at_once(world: World):
    """The next attempt doesn't come."""
    attempts: list[int] = []

    @function(retries=RetryPolicy(initial_interval=3600, max_interval=3600))
    async def failing(ctx: FunctionContext) -> None:
        attempts.append(ctx.attempt)
        raise ValueError

    handle = await failing.submit()
    await until_status(handle, "suspended")
    await handle.cancel()
    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)

    await world.turn(5000)

    assert attempts == [1]


async def test_a_step_between_two_attempts_is_not_tried_again(world: World):
    """The body is interrupted, though nothing runs for it at the moment."""
    attempts: list[int] = []

    async def failing(ctx: FunctionContext) -> None:
        attempts.append(ctx.attempt)
        raise ValueError

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.options(retries=RetryPolicy(initial_interval=3600, max_interval=3600))(failing)
        except asyncio.CancelledError:
            return "cancelled"
        return ""

    handle = await flow.submit()
    await until(lambda: attempts)
    await until_status(handle, "suspended")
    await handle.cancel()

    assert await handle.result(timeout=5) == "cancelled"
    await world.turn(5000)
    assert attempts == [1]


async def test_a_step_may_clean_up_and_its_body_waits_for_nothing_else(world: World):
    """The step's own `finally` runs on; what it had done is not recorded as done."""
    cleaned: list[str] = []
    is_open = asyncio.Event()

    async def slow() -> None:
        is_open.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("step")

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step(slow)

    handle = await flow.submit()
    await is_open.wait()
    await handle.cancel()

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)
    assert cleaned == ["step"]


async def test_a_body_that_swallows_the_cancel_goes_on(world: World):
    """It is interrupted once, and no more."""

    @workflow
    async def stubborn(ctx: WorkflowContext) -> list[int]:
        found = []
        while len(found) < 3:
            try:
                found.append(await ctx.wait_for_signal("n"))
            except asyncio.CancelledError:
                found.append(-1)
        return found

    handle = await stubborn.submit()
    await until_status(handle, "suspended")
    await handle.signal("n", 1)
    await until_status(handle, "suspended")
    await handle.cancel()
    await handle.signal("n", 2)

    assert await handle.result(timeout=5) == [1, -1, 2]


async def test_cancelling_a_task_of_the_body_stops_its_step(world: World):
    """Which is no cancel of the run."""
    stopped: list[str] = []
    is_open = asyncio.Event()

    async def slow() -> None:
        is_open.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("slow")

    async def opened() -> None:
        await is_open.wait()

    @workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        async def run() -> None:
            await ctx.step(slow)

        task = asyncio.create_task(run())
        await ctx.step(opened)
        task.cancel()
        await asyncio.wait([task])
        await ctx.sleep(0.002)
        return [str(task.cancelled())]

    assert await (await flow.submit()).result(timeout=5) == ["True"]
    await until(lambda: stopped)


async def test_a_cancel_from_inside_a_run_is_sent_once(world: World):
    """A body may cancel others."""

    @workflow
    async def other(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("never")

    @workflow
    async def cancelling(ctx: WorkflowContext) -> str:
        handle = await other.submit()
        await handle.cancel()
        try:
            await handle.result()
        except RunCancelledError:
            return "cancelled"
        return ""

    assert await (await cancelling.submit()).result(timeout=5) == "cancelled"


async def test_a_sync_function_runs_to_its_end(world: World):
    """A thread can't be interrupted: its run completes."""
    began, release = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    @function
    def blocking() -> str:
        began.append(1)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(5)
        return "done"

    handle = await blocking.submit()
    await until(lambda: began)
    await handle.cancel()
    release.set()

    assert await handle.result(timeout=5) == "done"


async def test_a_failed_step_is_not_retried_for_a_cancelled_body(world: World):
    """What the step raises while it is being stopped is its end."""
    attempts: list[int] = []

    async def failing(ctx: FunctionContext) -> None:
        attempts.append(ctx.attempt)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise NonRetryableError("stopped") from None

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step(failing)

    handle = await flow.submit()
    await until(lambda: attempts)
    await handle.cancel()

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)
    assert attempts == [1]
