"""Steps at the same time: how many, in which order their results come, and what becomes of a failure."""

import asyncio

import pytest

from agnt5 import InvalidInput, NonRetryableError, RetryPolicy, WorkflowContext, durable, workflow

from .world import World

FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)


@pytest.mark.parametrize("kind", ["workflow", "flow", "ordinary flow"])
async def test_spawn_runs_at_most_so_many_at_a_time(world: World, kind: str):
    """In parallel up to the bound, which is reached; results come in order, and names may repeat."""
    at_work, most = [0], [0]

    async def work(n: int) -> int:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        await asyncio.sleep(0.003)
        at_work[0] -= 1
        return n

    decorate = {
        "workflow": workflow(name="spawning", max_concurrent_steps=3),
        "flow": durable.flow(name="spawning", max_concurrent_steps=3),
        "ordinary flow": durable.flow(name="spawning", max_concurrent_steps=3, deterministic=False),
    }[kind]

    @decorate
    async def spawning(ctx: WorkflowContext) -> list[int]:
        return await ctx.spawn([("work", work, n) for n in range(10)])

    assert await spawning() == list(range(10))
    assert most[0] == 3


async def test_the_bound_holds_for_steps_of_every_form(world: World):
    """Those of `gather` too, and with retries among them."""
    at_work, most, failed = [0], [0], []

    async def work(n: int) -> int:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        await asyncio.sleep(0.001)
        at_work[0] -= 1
        if n % 3 == 0 and n not in failed:
            failed.append(n)
            raise ConnectionError
        return n

    @workflow(max_concurrent_steps=2, step_retries=FAST)
    async def flow(ctx: WorkflowContext) -> list[int]:
        return await asyncio.gather(*(ctx.step(work, n) for n in range(8)))

    assert await flow() == list(range(8))
    assert most[0] == 2


async def test_without_a_bound_all_run_at_once(world: World):
    """Steps of a workflow have none unless it is set."""
    meeting = asyncio.Barrier(40)

    async def meet(n: int) -> int:
        async with asyncio.timeout(5):
            await meeting.wait()
        return n

    @workflow
    async def flow(ctx: WorkflowContext) -> list[int]:
        return await ctx.spawn([(f"meet {n}", meet, n) for n in range(40)])

    assert await flow() == list(range(40))


async def test_spawn_raises_what_failed_for_good(world: World):
    """The others go on to their end."""
    done: list[int] = []

    async def work(n: int) -> None:
        if n == 1:
            raise NonRetryableError("no")
        done.append(n)

    @workflow
    async def flow(ctx: WorkflowContext) -> list[int]:
        with pytest.raises(NonRetryableError):
            await ctx.spawn([("work", work, n) for n in range(3)])
        await ctx.sleep(0.001)
        return sorted(done)

    assert await flow() == [0, 2]


@pytest.mark.parametrize("steps", [[("name",)], [(print, 1)], ["name"], [3]])
async def test_spawn_refuses_what_is_no_step(world: World, steps: list):
    """It takes tuples of a name, a function and its arguments."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        try:
            await ctx.spawn(steps)
        except InvalidInput:
            return "refused"
        return "taken"

    assert await flow() == "refused"


async def test_spawning_nothing_gives_nothing(world: World):
    """An empty list is no special case."""

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        return await ctx.spawn([])

    assert await flow() == []
