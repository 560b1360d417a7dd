"""The state of a run: values that survive crashes and attempts."""

import asyncio
from datetime import date
from decimal import Decimal

import pytest

from agnt5 import (
    FunctionContext,
    InvalidInput,
    RetryPolicy,
    UnserializableValue,
    WorkflowContext,
    durable,
    function,
    workflow,
)

from .world import World, until_status

FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)
KINDS = pytest.mark.parametrize(
    "component", [workflow, function, durable.flow(deterministic=False)], ids=["workflow", "function", "flow"]
)


@KINDS
async def test_state_is_read_as_it_was_set(world: World, component):
    """With the types that round-trip; deleted keys are gone, and keys are listed."""
    async def body(ctx) -> list:
        value = {"day": date(2024, 2, 29), "cents": Decimal("1.10"), "tags": {("a", 1)}}
        await ctx.state.set("value", value)
        await ctx.state.set("none", None)
        await ctx.state.set("gone", 1)
        await ctx.state.delete("gone")
        await ctx.state.delete("never there")
        return [
            await ctx.state.get("value") == value,
            await ctx.state.get("none", "default"),
            await ctx.state.get("gone"),
            await ctx.state.get("gone", "default"),
            sorted(await ctx.state.keys()),
        ]

    assert await component(body)() == [True, None, None, "default", ["none", "value"]]


@KINDS
async def test_what_was_read_is_a_copy(world: World, component):
    """To change a value, it is set again."""

    async def body(ctx) -> list:
        items = [1]
        await ctx.state.set("items", items)
        items.append(2)
        (await ctx.state.get("items")).append(3)
        return await ctx.state.get("items")

    assert await component(body)() == [1]


@pytest.mark.parametrize("component", [workflow, function])
async def test_state_survives_the_attempts_of_a_run(world: World, component):
    """It is read live, and its writes are made again in each attempt."""

    async def body(ctx) -> list[int]:
        count = await ctx.state.get("count", 0) + 1
        await ctx.state.set("count", count)
        if ctx.attempt < 3:
            raise ConnectionError
        return [ctx.attempt, count]

    assert await component(retries=FAST)(body)() == [3, 3]


async def test_state_survives_a_restart(world: World):
    """Reads that were made before see what was there then; those after see what is."""

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        before = await ctx.state.get("n", 0)
        await ctx.state.set("n", 1)
        between = await ctx.state.get("n")
        await ctx.wait_for_signal("go")
        await ctx.state.set("n", 2)
        return [before, between, await ctx.state.get("n")]

    handle = await flow.submit()
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")

    assert await handle.result(timeout=5) == [0, 1, 2]


async def test_steps_share_the_state_of_their_run(world: World):
    """What a step sets the body reads, and the other way round."""

    async def add(ctx, n: int) -> None:
        await ctx.state.set("sum", await ctx.state.get("sum", 0) + n)

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        await ctx.state.set("sum", 1)
        for n in (10, 100):
            await ctx.step(add, n)
            await ctx.sleep(0.001)
        return await ctx.state.get("sum")

    assert await (await flow.submit()).result(timeout=5) == 111


async def test_a_child_has_a_state_of_its_own(world: World):
    """State belongs to one run."""

    @workflow
    async def child(ctx: WorkflowContext) -> list[str]:
        await ctx.state.set("child", 1)
        return await ctx.state.keys()

    @workflow
    async def parent(ctx: WorkflowContext) -> list:
        await ctx.state.set("parent", 1)
        return [await child(), await ctx.state.keys()]

    assert await parent() == [["child"], ["parent"]]


async def test_writes_at_the_same_time_all_count(world: World):
    """Each key has what was set last in the order of asking."""

    @workflow
    async def flow(ctx: WorkflowContext) -> list[int]:
        await asyncio.gather(*(ctx.state.set(f"k{n % 3}", n) for n in range(9)))
        return [await ctx.state.get(f"k{n}") for n in range(3)]

    assert await flow() == [6, 7, 8]


@KINDS
@pytest.mark.parametrize(("key", "value", "error"), [(5, 1, InvalidInput), ("k", object(), UnserializableValue)])
async def test_what_cannot_be_kept_is_refused(world: World, component, key, value, error):
    """Where it is set, and what was there before stays."""

    async def body(ctx) -> object:
        await ctx.state.set("k", "before")
        with pytest.raises(error):
            await ctx.state.set(key, value)
        return await ctx.state.get("k")

    assert await component(body)() == "before"


async def test_a_function_that_is_run_again_reads_what_it_had_set(world: World):
    """After a restart a function sees its own changes where it made them, those of its steps too."""

    async def count(ctx: FunctionContext) -> None:
        await ctx.state.set("counted", 2)

    @function
    async def work(ctx: FunctionContext) -> list[object]:
        seen = [await ctx.state.get("mine")]
        await ctx.state.set("mine", 1)
        seen.append(await ctx.state.get("counted"))
        await ctx.step(count)
        seen += [await ctx.state.get("mine"), await ctx.state.get("counted")]
        await ctx.wait_for_signal("go")
        return seen

    handle = await work.submit()
    await until_status(handle, "suspended")
    await world.restart()
    await handle.signal("go")

    assert await handle.result(timeout=5) == [None, None, 1, 2]
