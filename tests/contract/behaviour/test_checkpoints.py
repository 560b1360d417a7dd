"""`checkpoint_interval`: how many completed steps may share a commit, and what always comes first."""

import asyncio

import pytest

from agnt5 import WorkflowContext, durable, function, get_run, send_event

from .world import World, events_of, until, until_status

INTERVALS = pytest.mark.parametrize("interval", [1, 2, 3, 100])


@INTERVALS
async def test_the_interval_changes_no_result(world: World, interval: int):
    """Nor the order of what is recorded."""

    @durable.flow(checkpoint_interval=interval)
    async def flow(ctx: WorkflowContext) -> list:
        found = [await ctx.step(int, str(n)) for n in range(7)]
        found += await asyncio.gather(*(ctx.step(int, str(n)) for n in range(7, 12)))
        await ctx.sleep(0.001)
        return [*found, await ctx.step(int, "12")]

    handle = await flow.submit()

    assert await handle.result(timeout=5) == list(range(13))
    outcomes = await events_of(handle, "outcome")
    assert [event.data["result"] for event in outcomes[:7]] == list(range(7))
    assert len(outcomes) == 13


@INTERVALS
async def test_without_a_crash_no_step_runs_again(world: World, interval: int):
    """Nor does a timer fire twice, however the commits and the timers of many runs fall."""
    ran: list[tuple[int, int]] = []

    @durable.flow(checkpoint_interval=interval)
    async def flow(ctx: WorkflowContext, run: int) -> None:
        for n in range(6):
            await ctx.step(ran.append, (run, n))
            if n % 2:
                await ctx.sleep(0.001)

    handles = [await flow.submit(run) for run in range(15)]
    for handle in handles:
        await handle.result(timeout=5)

    assert sorted(ran) == [(run, n) for run in range(15) for n in range(6)]
    for handle in handles:
        assert [event.data["n"] for event in await events_of(handle, "fired")] == [0, 1, 2]


@INTERVALS
async def test_what_a_run_waits_behind_is_durable(world: World, interval: int):
    """An idle moment, a sleep, a wait, a child, a state: after each, no completed step runs again."""
    ran: list[str] = []

    @function
    async def child() -> str:
        return "child"

    @durable.flow(checkpoint_interval=interval)
    async def flow(ctx: WorkflowContext) -> list[str]:
        for name in ("a", "b"):
            await ctx.step(ran.append, name)
        await ctx.sleep(0.001)
        await ctx.step(ran.append, "c")
        await child()
        await ctx.step(ran.append, "d")
        await ctx.state.set("reached", "d")
        await ctx.step(ran.append, "e")
        await ctx.wait_for_event("given")
        await ctx.step(ran.append, "f")
        return await ctx.wait_for_signal("go")

    await send_event("given", 1)
    handle = await flow.submit()
    await until_status(handle, "suspended")
    await until(lambda: handle.state.get("reached"))
    await until_status(handle, "suspended")
    before = list(ran)
    await world.crash()
    await handle.signal("go", "went")

    assert await handle.result(timeout=5) == "went"
    assert set(before) == set("abcdef")
    assert ran == before


async def test_what_a_child_sees_is_durable(world: World):
    """Nothing outside a run starts before what it depends on is committed."""
    seen: list[int] = []

    @function
    async def child(parent: str) -> None:
        events = get_run(parent).events()
        async for event in events:
            if event.kind == "begun":
                break
            seen.append(event.kind)

    @durable.flow(checkpoint_interval=100)
    async def flow(ctx: WorkflowContext) -> None:
        for n in range(5):
            await ctx.step(int, str(n))
        await child(ctx.run_id)

    await (await flow.submit()).result(timeout=5)

    assert seen == ["started", *["outcome"] * 5]


@INTERVALS
async def test_a_failing_run_has_its_steps_recorded(world: World, interval: int):
    """Its end comes after them."""

    @durable.flow(checkpoint_interval=interval, max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        for n in range(3):
            await ctx.step(int, str(n))
        raise LookupError("gone")

    handle = await flow.submit()

    with pytest.raises(LookupError):
        await handle.result(timeout=5)
    assert [event.kind async for event in handle.events()] == ["started", *["outcome"] * 3, "ended"]


@INTERVALS
async def test_a_signal_in_between_is_seen_in_one_order(world: World, interval: int):
    """Live and in replay the body sees the same, whatever it was ahead of."""

    @durable.flow(checkpoint_interval=interval, max_retries=0)
    async def flow(ctx: WorkflowContext) -> list:
        order: list = []

        async def signals() -> None:
            for _ in range(4):
                order.append(await ctx.wait_for_signal("n"))

        async def steps() -> None:
            for n in range(30):
                await ctx.step(int, str(n))
                order.append("step")

        await asyncio.gather(signals(), steps())
        await ctx.state.set("order", order)
        await ctx.wait_for_signal("go")
        return order

    handle = await flow.submit()
    for n in range(4):
        await handle.signal("n", n)
    await until(lambda: handle.state.get("order"))
    await world.restart()
    await handle.signal("go")

    assert await handle.result(timeout=5) == await handle.state.get("order")
