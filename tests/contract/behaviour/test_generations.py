"""`continue_as`: a run that starts afresh under its own id."""

import asyncio

import pytest

from agnt5 import (
    InvalidInput,
    RunCancelledError,
    UnserializableValue,
    WorkflowContext,
    ctx,
    function,
    get_run,
    workflow,
)

from .world import World, until, until_status

KINDS = pytest.mark.parametrize("component", [workflow, function], ids=["workflow", "function"])


@KINDS
async def test_a_run_continues_with_new_arguments_under_its_id(world: World, component):
    """However often; its caller gets the result of the last generation."""

    @component(name="counting")
    async def counting(ctx, n: int, total: int = 0):
        if n == 0:
            return [total, ctx.run_id]
        return ctx.continue_as(n - 1, total=total + n)

    handle = await counting.submit(20)

    assert await handle.result(timeout=5) == [210, handle.id]
    assert await handle.status() == "completed"


async def test_the_journal_starts_afresh(world: World):
    """What a run does for ever doesn't make its journal grow; positions go on."""

    @workflow
    async def ticking(ctx: WorkflowContext, n: int):
        for _ in range(5):
            await ctx.step(int)
        return ctx.continue_as(n - 1) if n else "done"

    handle = await ticking.submit(3)
    assert await handle.result(timeout=5) == "done"

    events = [event async for event in handle.events()]
    assert [event.kind for event in events] == ["started", *["outcome"] * 5, "ended"]
    assert events[0].index > 0
    assert events[0].data["generation"] == 4


@KINDS
async def test_state_and_unread_signals_are_carried_over(world: World, component):
    """Signals that were taken are gone, the others come in their order."""

    @component(name="reading")
    async def reading(ctx, n: int):
        found = await ctx.state.get("found", [])
        found.append(await ctx.wait_for_signal("n"))
        await ctx.state.set("found", found)
        await ctx.state.set("gone", 1)
        await ctx.state.delete("gone")
        return ctx.continue_as(n - 1) if n else [found, await ctx.state.keys()]

    handle = await reading.submit(3)
    for n in range(3):
        await handle.signal("n", n)
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("n", 3)

    assert await handle.result(timeout=5) == [[0, 1, 2, 3], ["found"]]


async def test_operations_of_a_generation_are_new(world: World):
    """The same step with the same arguments runs again, with a key of its own; chance is new too."""
    keys: list[str] = []
    drawn: list[float] = []

    @workflow
    async def flow(c: WorkflowContext, n: int):
        drawn.append(c.random.random())
        await c.step(lambda: keys.append(ctx.idempotency_key))
        return c.continue_as(n - 1) if n else None

    await flow(2)

    assert len(set(keys)) == 3
    assert len(set(drawn)) == 3


@KINDS
async def test_children_of_a_generation_are_new(world: World, component):
    """A call that was made before is made again; one that nobody awaits any more is cancelled."""

    @function
    async def child(ctx) -> str:
        return ctx.run_id

    @component(name="parent")
    async def parent(ctx, n: int, before: list[str]):
        found = [*before, await child()]
        return ctx.continue_as(n - 1, found) if n else found

    found = await (await parent.submit(2, [])).result(timeout=5)

    assert len(set(found)) == 3


async def test_who_waits_waits_for_the_last_generation(world: World):
    """Followers and parents too."""

    @workflow
    async def child(ctx: WorkflowContext, n: int):
        await ctx.wait_for_signal("go")
        return ctx.continue_as(n - 1) if n else "done"

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        handle = await child.submit(1)
        await ctx.state.set("child", handle.id)
        return await handle.result()

    handle = await parent.submit()
    await until_status(handle, "suspended")
    run = get_run(await handle.state.get("child"))
    following = asyncio.create_task(_kinds(run))
    await until_status(run, "suspended")
    await run.signal("go")
    await run.signal("go")

    assert await handle.result(timeout=5) == "done"
    kinds = await following
    assert kinds.count("started") == 2
    assert kinds[-1] == "ended"


async def _kinds(handle) -> list[str]:
    return [event.kind async for event in handle.events()]


async def test_a_later_generation_can_be_cancelled(world: World):
    """It is the same run."""

    @workflow
    async def flow(ctx: WorkflowContext, n: int):
        if n:
            return ctx.continue_as(n - 1)
        await ctx.state.set("last", True)
        return await ctx.wait_for_signal("never")

    handle = await flow.submit(2)
    await until(lambda: handle.state.get("last"))
    await handle.cancel()

    with pytest.raises(RunCancelledError):
        await handle.result(timeout=5)


@pytest.mark.parametrize(("args", "error"), [((1, 2), InvalidInput), ((object(),), UnserializableValue)])
async def test_arguments_that_cannot_be_fail_the_run(world: World, args: tuple, error):
    """The error says why; the run ends, rather than start with something else."""

    @workflow
    async def flow(ctx: WorkflowContext, n: int):
        return ctx.continue_as(*args)

    with pytest.raises(error):
        await (await flow.submit(1)).result(timeout=5)
