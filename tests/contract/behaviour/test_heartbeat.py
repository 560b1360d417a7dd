"""Heartbeats: what an attempt says of itself reaches the next one, and silence ends it."""

import asyncio
import threading

import pytest

from agnt5 import FunctionContext, InvalidInput, RetryPolicy, StepTimeoutError, WorkflowContext, ctx, function, workflow

from .world import World, until

FAST = RetryPolicy(max_attempts=3, initial_interval=0.001)


def component_of(where: str, fn, **options):
    """The function, run as a step of a workflow or on its own."""
    if where == "function":
        return function(name="working", **options)(fn)

    @workflow
    async def flow(ctx: WorkflowContext):
        return await ctx.step.options(**options)(fn)

    return flow


WHERE = pytest.mark.parametrize("where", ["step", "function"])


@WHERE
async def test_details_reach_the_next_attempt(world: World, where: str):
    """The last ones that were given; none in the first attempt, nor after one that gave none."""
    seen: list[object] = []

    async def working(ctx: FunctionContext) -> str:
        seen.append(ctx.last_heartbeat)
        if ctx.attempt == 1:
            ctx.heartbeat({"done": 1})
            ctx.heartbeat({"done": {2}})
        if ctx.attempt < 3:
            raise ConnectionError
        return "done"

    assert await component_of(where, working, retries=FAST)() == "done"
    assert seen == [None, {"done": {2}}, None]


@WHERE
async def test_details_survive_a_crash(world: World, where: str):
    """A crash uses up no attempt, and what was committed of the heartbeat is there."""
    seen: list[list] = []
    release = asyncio.Event()

    async def working(ctx: FunctionContext) -> str:
        seen.append([ctx.attempt, ctx.last_heartbeat])
        ctx.heartbeat("half")
        await ctx.state.set("beaten", True)
        await release.wait()
        return "done"

    handle = await component_of(where, working).submit()
    await until(lambda: handle.state.get("beaten"))
    await world.crash()
    await until(lambda: len(seen) == 2)
    release.set()

    assert await handle.result(timeout=5) == "done"
    assert seen == [[1, None], [1, "half"]]


@WHERE
async def test_silence_ends_an_attempt(world: World, where: str):
    """It is a timeout like others: tried again, then raised."""
    seen: list[int] = []

    async def silent(ctx: FunctionContext) -> None:
        seen.append(ctx.attempt)
        await asyncio.Event().wait()

    policy = RetryPolicy(max_attempts=2, initial_interval=0.001)

    with pytest.raises(StepTimeoutError, match="heartbeat"):
        await component_of(where, silent, retries=policy, heartbeat_timeout=0.02)()
    assert seen == [1, 2]


@WHERE
async def test_who_beats_may_take_its_time(world: World, where: str):
    """Only silence counts, not the whole."""

    async def slow(ctx: FunctionContext) -> str:
        for _ in range(6):
            await asyncio.sleep(0.03)
            ctx.heartbeat()
        return "done"

    assert await component_of(where, slow, retries=1, heartbeat_timeout=0.15)() == "done"


@WHERE
async def test_threads_beat_too(world: World, where: str):
    """A plain function shows that it lives in the same way."""
    stop = threading.Event()

    def slow() -> str:
        for _ in range(6):
            stop.wait(0.03)
            ctx.heartbeat("alive")
        return "done"

    assert await component_of(where, slow, retries=1, heartbeat_timeout=0.15)() == "done"


async def test_a_workflow_body_has_no_heartbeat(world: World):
    """One that waits costs nothing and needs none."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        ctx.heartbeat()

    with pytest.raises(InvalidInput, match="step"):
        await flow()
